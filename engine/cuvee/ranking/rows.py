"""Ragged rows side by side, and as a padded matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cuvee.recommender import Ints, Ragged

__all__ = ["join", "padded"]


def join(rows: Sequence[Ragged]) -> Ragged:
    """Join ragged rows side by side: row b of the answer holds row b of each."""
    rows = [r for r in rows if len(r.items)] or rows[:1]
    if len(rows) == 1:
        return rows[0]
    owners = np.concatenate([r.rows for r in rows])
    order = np.argsort(owners, kind="stable")
    offsets = np.sum([r.offsets for r in rows], axis=0)
    return Ragged(offsets, np.concatenate([r.items for r in rows])[order])


def padded(rows: Ragged) -> Ints:
    """int32[B, longest], -1 behind each row's end."""
    lengths = rows.lengths
    out = np.full((len(rows), int(lengths.max(initial=0))), -1, np.int32)
    out[rows.rows, np.arange(len(rows.items)) - np.repeat(rows.offsets[:-1], lengths)] = rows.items
    return out
