"""How the nearest items are found in large catalogues: an index of vectors, and one of sparse features."""
