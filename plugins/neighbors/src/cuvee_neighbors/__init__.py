"""Neighbourhood models for Cuvée: items that are similar to, or follow, those of a history."""

from cuvee_neighbors.config import NeighborsConfig
from cuvee_neighbors.recommender import Neighbors

__all__ = ["Neighbors", "NeighborsConfig"]
