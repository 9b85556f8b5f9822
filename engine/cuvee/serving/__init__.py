"""Who may ask, and how fast: the gRPC server. Only this package and ``cuvee.client`` know gRPC."""
