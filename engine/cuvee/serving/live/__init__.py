"""How a running server keeps up: products, growth of the catalogue, and what everybody does."""
