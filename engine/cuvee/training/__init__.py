"""Fitting a product's recommenders, reuse of earlier fits, and item vectors that models share."""
