"""What users did: events are checked, written and acknowledged."""
