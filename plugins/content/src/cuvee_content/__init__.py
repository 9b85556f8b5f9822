"""Content for Cuvée: items by what they are, users by what they did and what they say they like."""

from cuvee_content.config import ContentConfig
from cuvee_content.recommender import Content

__all__ = ["Content", "ContentConfig"]
