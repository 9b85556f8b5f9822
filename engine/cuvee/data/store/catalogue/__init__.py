"""Items and users in the store, and the catalogue that they make over what was imported."""
