"""Accuracy of batches of lists. Binary relevance; each function gives float64[B].

``lists`` is int32[B, K], best first, -1 pads; ``relevant`` holds B rows of distinct items, each
with at least one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cuvee.recommender import Bools, Ints, Offsets, Ragged

__all__ = ["average_precision", "hit_rate", "hits", "ndcg", "precision", "recall", "reciprocal_rank"]

PerUser = npt.NDArray[np.float64]


def hits(lists: Ints, relevant: Ragged) -> Bools:
    """bool[B, K]: whether each listed item is relevant."""
    span = int(max(lists.max(initial=0), relevant.items.max(initial=0))) + 1
    wanted = np.unique(relevant.rows * span + relevant.items)
    keys = np.arange(len(lists), dtype=np.int64)[:, None] * span + lists
    return np.isin(keys, wanted) & (lists >= 0)


def hit_rate(found: Bools, k: int) -> PerUser:
    """HR@k: 1 where any of the first k is relevant."""
    return np.asarray(found[:, :k].any(axis=1), np.float64)


def precision(found: Bools, k: int) -> PerUser:
    """P@k: relevant among the first k, over k (also where the list is shorter)."""
    return np.asarray(found[:, :k].sum(axis=1) / k)


def recall(found: Bools, k: int, n_relevant: Offsets) -> PerUser:
    """R@k: relevant among the first k, over all relevant items (not over min(k, n))."""
    return np.asarray(found[:, :k].sum(axis=1) / n_relevant)


def reciprocal_rank(found: Bools, k: int) -> PerUser:
    """MRR@k: 1 / place of the first relevant item; 0 where none is among the first k."""
    worth = found[:, :k] / np.arange(1, found[:, :k].shape[1] + 1)
    return np.asarray(worth.max(axis=1, initial=0.0))


def average_precision(found: Bools, k: int, n_relevant: Offsets) -> PerUser:
    """AP@k: the precision at the place of each relevant item among the first k, over all n relevant items.

    As trec_eval's ``map_cut`` has it; other definitions divide by min(k, n).
    """
    shown = found[:, :k]
    at_each = np.cumsum(shown, axis=1) / np.arange(1, shown.shape[1] + 1)
    return np.asarray((at_each * shown).sum(axis=1) / n_relevant)


def ndcg(found: Bools, k: int, n_relevant: Offsets, *, ideal_over_all: bool = False) -> PerUser:
    """NDCG@k, gains 1, discount 1 / log2(place + 1).

    The ideal list holds min(k, n) relevant items; with ``ideal_over_all`` all n of them, as
    BARS/DaisyRec-style tables of ml-100k have it (then 1 cannot be reached where n > k).
    Source: Jarvelin and Kekalainen, ACM TOIS 2002.
    """
    longest = int(max(k, n_relevant.max(initial=1)))
    discounts = 1 / np.log2(np.arange(2, longest + 2))
    gained = found[:, :k] @ discounts[: found[:, :k].shape[1]]
    places = n_relevant if ideal_over_all else np.minimum(n_relevant, k)
    return gained / np.cumsum(discounts)[places - 1]
