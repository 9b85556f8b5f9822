"""What is the model? One module for each architecture, all behind the same interface."""
