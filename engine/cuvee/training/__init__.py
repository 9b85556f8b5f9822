"""Where models come from: fit, evaluate, artefacts, snapshots."""
