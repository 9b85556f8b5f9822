"""How good are the lists: protocols, splits, trials, metrics, intervals, baselines."""
