"""Several processes that answer on one port, and the one that looks after them."""
