"""Who may ask? Every call comes from a caller with scopes and products, or is refused."""
