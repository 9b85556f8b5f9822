"""Places: the rank of each opinion among a source's opinions on the same query."""

from __future__ import annotations

import numpy as np

from cuvee.recommender import Floats, Ints

__all__ = ["places"]


def places(scores: Floats) -> tuple[Ints, Ints]:
    """int32[R, M] each: how many of the row are higher, and how many are equal, itself among them.

    ``scores`` is float32[R, M]; NaN stands behind everything else, and what is said of it means nothing.
    """
    rows, m = scores.shape
    if not scores.size:
        return np.zeros(scores.shape, np.int32), np.zeros(scores.shape, np.int32)
    falling = np.where(np.isnan(scores), np.float32(np.inf), -scores)
    order = np.argsort(falling, axis=1)
    ordered = np.take_along_axis(falling, order, axis=1)
    fresh = np.ones((rows, m + 1), np.bool_)
    fresh[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    at = np.arange(m + 1, dtype=np.int32)
    begin = np.maximum.accumulate(np.where(fresh[:, :-1], at[:-1], 0), axis=1)
    end = np.minimum.accumulate(np.where(fresh[:, 1:], at[1:], m)[:, ::-1], axis=1)[:, ::-1]
    higher, equal = np.empty((rows, m), np.int32), np.empty((rows, m), np.int32)
    np.put_along_axis(higher, order, begin, axis=1)
    np.put_along_axis(equal, order, end - begin, axis=1)
    return higher, equal
