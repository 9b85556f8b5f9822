"""Users' vectors with items' vectors: pure products, in blocks that fit a processor's cache."""

from __future__ import annotations

import numpy as np
from cuvee.recommender import Floats, Ints

__all__ = ["gathered", "scored_all"]


def scored_all(users: Floats, vectors: Floats) -> Floats:
    """float32[b, d] and [n, d] to float32[b, n]."""
    return users @ vectors.T


def gathered(users: Floats, vectors: Floats, items: Ints) -> Floats:
    """float32[b, d], [n, d] and int32[b, M] to float32[b, M]; NaN where an item is not one of n."""
    there = (items >= 0) & (items < len(vectors))
    scores = np.full(items.shape, np.nan, np.float32)
    for row, (user, wanted, known) in enumerate(zip(users, items, there, strict=True)):
        scores[row, known] = vectors[wanted[known]] @ user
    return scores
