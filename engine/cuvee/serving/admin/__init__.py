"""What runs here, and which version of it? AdminService: products, configuration, snapshots."""
