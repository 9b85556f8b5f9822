"""What should each source count: opinions, objective, search, cross-fitting, decision, new items."""
