"""Users' histories in the form that the model reads."""

from __future__ import annotations

import numpy as np
from cuvee.recommender import Histories, Ints, Offsets

__all__ = ["sequences"]


def sequences(histories: Histories, n_items: int, length: int) -> tuple[Ints, Offsets]:
    """int32[b, length], and int64[b]: each row's newest liked events, and which rows of B have any.

    Numbers are positions + 1, the oldest first, 0 pads at the left. Events of weight 0 and items
    that the model does not know (at or above ``n_items``) are left out.
    """
    kept = np.flatnonzero((histories.weights > 0) & (histories.items < n_items))
    rows = histories.rows[kept]
    counts = np.bincount(rows, minlength=len(histories))
    ages = np.cumsum(counts)[rows] - 1 - np.arange(len(kept))
    new = ages < length
    told = np.flatnonzero(counts)
    place = np.empty(len(histories), np.int64)
    place[told] = np.arange(len(told))
    out = np.zeros((len(told), length), np.int32)
    out[place[rows[new]], length - 1 - ages[new]] = histories.items[kept[new]] + 1
    return out, told
