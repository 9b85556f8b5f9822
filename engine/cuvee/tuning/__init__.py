"""Learning the weight of each source: opinions, objective, search, cross-fitting, decision, new items."""
