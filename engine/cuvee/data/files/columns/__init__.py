"""What is in a column? Ids, numbers, times, labels and vectors, from whatever type a file gives them."""
