"""What was learnt, and which version answers: models on disk, arrays, snapshots, and removal of forgotten users."""
