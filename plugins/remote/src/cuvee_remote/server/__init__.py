"""Serves a recommender class of Python in a process of its own, over ``cuvee.v1.RecommenderService``."""

from cuvee_remote.server.serving import Serving, serve

__all__ = ["Serving", "serve"]
