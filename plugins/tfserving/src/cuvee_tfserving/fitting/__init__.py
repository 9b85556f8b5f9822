"""What ``cuvee fit`` does for a deep model: train it in a process of its own, try it on a model server, publish it."""
