"""Events: checked, written and acknowledged."""
