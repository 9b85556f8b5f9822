"""Faults that are caused in a running server, and what is measured meanwhile; for tests/serving/faults."""
