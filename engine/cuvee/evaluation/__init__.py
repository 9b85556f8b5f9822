"""Measuring the quality of lists: protocols, splits, trials, metrics, intervals, baselines."""
