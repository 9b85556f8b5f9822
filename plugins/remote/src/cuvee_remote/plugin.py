"""The entry point: what this distribution registers with Cuvée."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cuvee import hookimpl
from cuvee.recommender import Recommender

from cuvee_remote.recommender import Remote

__all__ = ["register_recommenders"]


@hookimpl
def register_recommenders() -> Mapping[str, type[Recommender[Any]]]:
    """Register ``remote``."""
    return {"remote": Remote}
