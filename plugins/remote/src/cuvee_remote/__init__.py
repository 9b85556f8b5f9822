"""Recommenders in other processes, asked over gRPC (``cuvee.v1.RecommenderService``).

:class:`Remote` is the recommender inside Cuvée that asks; :func:`serve` serves any recommender class of Python to it.
"""

from __future__ import annotations

from cuvee_remote.config import RemoteConfig
from cuvee_remote.recommender import Remote
from cuvee_remote.server import Serving, serve

__all__ = ["Remote", "RemoteConfig", "Serving", "serve"]
