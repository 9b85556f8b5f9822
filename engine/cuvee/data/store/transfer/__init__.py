"""Many rows at once: Parquet files into the store and out of it."""
