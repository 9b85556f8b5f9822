"""The gRPC server: access, deadlines and answers. Only this package and ``cuvee.client`` know gRPC."""
