"""What came of an experiment? From what each participant did to lifts, their intervals, and what to do next."""
