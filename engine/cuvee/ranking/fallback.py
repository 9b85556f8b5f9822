"""Falling back: where the blend's list is short, the product's chain fills it, each item marked.

What the chain leaves short the last resort fills from the catalogue itself, so that a list is
shorter than asked for only where nothing more may be shown. The last resort knows nothing of the
user: it takes what may be shown, newest first. The newest item is the one that came into the
catalogue last, which is the one with the highest position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee import kernels
from cuvee.errors import DegradedReason
from cuvee.ranking.ask import Ask, Report, candidates_of
from cuvee.ranking.plan import Plan
from cuvee.ranking.rows import join, padded
from cuvee.recommender import Bools, Floats, Ints, Offsets, Queries, Ragged

__all__ = ["Filled", "fall_back"]


@dataclass(frozen=True, slots=True)
class Filled:
    """Items from the fallback chain and the last resort, in the order in which they are shown."""

    items: Ints
    """int32[B, K], -1 pads (anywhere in a row)."""
    scores: Floats
    """float32[B, K]: the fallback source's own raw score, not comparable with a blended one; NaN where it gave none."""
    levels: Ints
    """int32[B, K]: 1-based place in the chain, one more than its length for the last resort, 0 on padding."""
    reasons: Sequence[DegradedReason]
    """B reasons: why the query's blended list was too short."""

    @classmethod
    def none(cls, b: int) -> Filled:
        """Nothing was filled in for b queries."""
        empty = np.empty((b, 0), np.int32)
        return cls(empty, empty.astype(np.float32), empty, (DegradedReason.EMPTY,) * b)


def _listed(items: Ints) -> Ragged:
    """A padded matrix as ragged rows."""
    real = items >= 0
    return Ragged(np.concatenate([[0], np.cumsum(real.sum(axis=1))]), items[real])


def fall_back(
    plan: Plan, queries: Queries, shown: Ints, k: int, reasons: Sequence[DegradedReason], ask: Ask
) -> tuple[Filled, list[Report]]:
    """Fill rows of ``shown`` (int32[B, M], -1 pads) that hold fewer than k items, source by source.

    ``queries`` carries all restrictions, so filters and exclusions hold here as well, for the last
    resort, too. Asks no source of the chain when every row is full. Returns the reports of those
    that were asked.
    """
    missing = k - (shown >= 0).sum(axis=1)
    columns: list[tuple[Ints, Floats, Ints]] = []
    reports: list[Report] = []
    taken = _listed(shown)
    n = len(plan.catalog.items)
    for level, source in enumerate(plan.fallback, start=1):
        short = np.flatnonzero(missing > 0)
        if not len(short):
            break
        rest = replace(queries, excluded=join([queries.excluded, taken])).select(short)
        # always k, although fewer may be missing: a query's list must not depend on the other queries of its batch
        (reply,) = ask([candidates_of(source, rest, k, n)])
        reports.append(reply.report)
        if reply.value is None:
            continue
        excluded, every = (rest.excluded.offsets, rest.excluded.items), np.ones((1, len(rest)), np.bool_)
        allowed, _ = kernels.union([reply.value.items], every, excluded, rest.eligible, n, n)
        items = np.full((len(queries), reply.value.items.shape[1]), -1, np.int32)
        scores = np.full(items.shape, np.nan, np.float32)
        for at, row in enumerate(short):  # rows that come short are few
            own, own_scores = reply.value.items[at], reply.value.scores[at]
            good = np.isin(own, allowed[at][allowed[at] >= 0])
            good[good] = _first_of_each(own[good])
            good &= np.cumsum(good) <= missing[row]
            items[row, good], scores[row, good] = own[good], own_scores[good]
        columns.append((items, scores, np.where(items >= 0, level, 0).astype(np.int32)))
        missing = missing - (items >= 0).sum(axis=1)
        taken = join([taken, _listed(items)])
    if plan.last_resort and (missing > 0).any():
        items = _newest(replace(queries, excluded=join([queries.excluded, taken])), missing, n)
        levels = np.where(items >= 0, len(plan.fallback) + 1, 0).astype(np.int32)
        columns.append((items, np.full(items.shape, np.nan, np.float32), levels))
    if not columns:
        return replace(Filled.none(len(queries)), reasons=reasons), reports
    items, scores, levels = (np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True))
    return Filled(items, scores, levels, reasons), reports


def _newest(queries: Queries, missing: Offsets, n: int) -> Ints:
    """int32[B, K]: each query's newest items that may be shown, up to int64[B] ``missing``, -1 behind a row's end.

    What a query gets depends on itself alone: the batch only decides how many items are looked at.
    """
    most = int((missing + queries.excluded.lengths)[missing > 0].max(initial=0))
    pool = _newest_eligible(queries.eligible, n, most)
    rows = []
    for b in range(len(queries)):  # rows that come short are few
        if missing[b] <= 0:
            rows.append(pool[:0])
        else:
            rows.append(pool[~np.isin(pool, queries.excluded.row(b))][: missing[b]])
    return padded(Ragged.of(rows))


def _newest_eligible(eligible: Bools | None, n: int, most: int) -> Ints:
    """int32: the highest of n positions that bool[N] allows, falling, up to ``most``."""
    if eligible is None:
        return np.arange(n - 1, max(n - 1 - most, -1), -1, dtype=np.int32)
    looked_at = most
    while True:  # from the end: most catalogues need not be read as a whole
        start = max(n - looked_at, 0)
        found = np.flatnonzero(eligible[start:])
        if len(found) >= most or start == 0:
            return (start + found[::-1][:most]).astype(np.int32)
        looked_at *= 8


def _first_of_each(items: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool[n]: true at the first occurrence of each item."""
    first = np.zeros(len(items), np.bool_)
    first[np.unique(items, return_index=True)[1]] = True
    return first
