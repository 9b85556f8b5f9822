"""Where users, items and events live: the catalogue, datasets, and readers of files."""
