"""Content for Cuvée: items described by their columns, users by their history and declared interests."""

from cuvee_content.config import ContentConfig
from cuvee_content.recommender import Content

__all__ = ["Content", "ContentConfig"]
