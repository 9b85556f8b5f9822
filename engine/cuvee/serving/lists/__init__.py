"""The way of a request: from the message to a row, a batch, a run of the pipeline, and the answer."""
