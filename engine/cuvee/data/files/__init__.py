"""Files as people have them: readers, cleaning, fetching, and the report of an import."""
