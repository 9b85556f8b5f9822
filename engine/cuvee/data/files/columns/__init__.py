"""Ids, numbers, times, labels and vectors, read from whatever column type a file has."""
