"""How a running server keeps up to date: products, changes of the catalogue, and all users' new events."""
