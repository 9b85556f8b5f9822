"""Users' histories in the form that the model reads."""

from __future__ import annotations

import numpy as np
from cuvee.recommender import Floats, Histories, Ints, Offsets

__all__ = ["sequences"]


def sequences(histories: Histories, n_items: int, length: int) -> tuple[Ints, Floats, Offsets]:
    """Newest liked events, int32[b, length], their ages, float32[b, length], and which rows of B have any.

    Events are positions + 1, the oldest first, 0 pads at the left. Ages are seconds before the row's newest event.
    Rows are int64[b]. Events of weight 0 and items that the model does not know (at or above ``n_items``) are left out.
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
    at = place[rows[new]], length - 1 - ages[new]
    out[at] = histories.items[kept[new]] + 1
    seconds = np.zeros(out.shape, np.float32)
    newest = np.zeros(len(histories))
    newest[rows] = histories.times[kept]  # the last of a row stays
    seconds[at] = newest[rows[new]] - histories.times[kept[new]]
    return out, seconds, told
