"""What was learnt, and which version answers: models on disk, arrays, snapshots, and who is forgotten."""
