"""Care: what is known of an item or a user, and what an operator changes of it, of snapshots and of product files."""
