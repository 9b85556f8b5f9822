"""What `serving.py` is made of: products, servers, callers, and a module for each group of sections."""
