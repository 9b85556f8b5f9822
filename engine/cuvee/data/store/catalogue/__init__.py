"""Items and users in the store, and the catalogue that results from them and the imported dataset."""
