"""Popularity for Cuvée: what people choose now, what is rising, and what people like you choose."""

from cuvee_popular.config import PopularConfig
from cuvee_popular.recommender import Popular

__all__ = ["Popular", "PopularConfig"]
