"""What items and users there are: upserts, pages, and a user's own data."""
