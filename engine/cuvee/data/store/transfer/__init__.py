"""Bulk transfer: Parquet files into the store and out of it."""
