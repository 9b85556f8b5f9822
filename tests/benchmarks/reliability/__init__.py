"""What is done to a running server, and what is measured meanwhile; for tests/serving/faults and the long runs."""
