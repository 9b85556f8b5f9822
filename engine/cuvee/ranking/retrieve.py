"""The union of candidates: what the sources propose, less what may not be shown, capped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cuvee.recommender import Bools, Candidates, Ints, Offsets, Ragged

__all__ = ["join", "padded", "ranks_in", "union"]


def join(rows: Sequence[Ragged]) -> Ragged:
    """Join ragged rows side by side: row b of the answer holds row b of each."""
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


def _keys(items: Ints, n: int) -> Offsets:
    """int64, one number per (row, item)."""
    return np.arange(len(items), dtype=np.int64)[:, None] * n + items


def union(proposals: Sequence[Candidates], excluded: Ragged, eligible: Bools | None, n: int, cap: int) -> Ints:
    """int32[B, M]: each query's distinct candidates in order of position, -1 behind the end.

    ``n`` is the size of the catalogue. A query with more than ``cap`` keeps those that stand
    highest in any source's list.
    """
    b = len(excluded)
    if not proposals:
        return np.empty((b, 0), np.int32)
    items = np.concatenate([p.items for p in proposals], axis=1)
    places = np.concatenate([np.arange(p.items.shape[1]) for p in proposals])
    real = items >= 0
    if eligible is not None:
        real &= eligible[items]
    best_first = np.argsort(places, kind="stable")
    keys = _keys(items, n)[:, best_first][real[:, best_first]]
    kept, first_at = np.unique(keys, return_index=True)
    if len(excluded.items):
        shown = ~np.isin(kept, excluded.rows * n + excluded.items)
        kept, first_at = kept[shown], first_at[shown]
    rows = kept // n
    counts = np.bincount(rows, minlength=b)
    if counts.max(initial=0) > cap:
        order = np.lexsort((first_at, rows))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.arange(len(kept)) - np.repeat(starts, counts)
        kept = np.sort(kept[order][within < cap])
        counts = np.minimum(counts, cap)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return padded(Ragged(offsets, (kept % n).astype(np.int32)))


def ranks_in(proposal: Candidates, items: Ints, n: int) -> Ints:
    """int32[B, M]: each item's 1-based place in a source's own list, 0 where it is not there."""
    ranks = np.zeros(items.shape, np.int32)
    if not proposal.items.size or not items.size:
        return ranks
    real = proposal.items >= 0
    keys = _keys(proposal.items, n)[real]
    places = np.broadcast_to(np.arange(1, proposal.items.shape[1] + 1, dtype=np.int32), real.shape)[real]
    order = np.argsort(keys)
    keys, places = keys[order], places[order]
    if not len(keys):
        return ranks
    wanted = _keys(items, n)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = (keys[at] == wanted) & (items >= 0)
    ranks[found] = places[at[found]]
    return ranks
