"""Popularity for Cuvée: by time, by trend, and by segments of users."""

from cuvee_popular.config import PopularConfig
from cuvee_popular.recommender import Popular

__all__ = ["Popular", "PopularConfig"]
