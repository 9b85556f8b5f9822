"""Neighbourhoods for Cuvée: what goes with, and what comes after, the things in a history."""

from cuvee_neighbors.config import NeighborsConfig
from cuvee_neighbors.recommender import Neighbors

__all__ = ["Neighbors", "NeighborsConfig"]
