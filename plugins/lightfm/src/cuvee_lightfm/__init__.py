"""LightFM for Cuvée: hybrid factors of users, items and their features, served from arrays."""

from cuvee_lightfm.config import LightFMConfig
from cuvee_lightfm.recommender import LightFMRecommender

__all__ = ["LightFMConfig", "LightFMRecommender"]
