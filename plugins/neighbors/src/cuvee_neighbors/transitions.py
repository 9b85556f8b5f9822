"""Transitions: which items follow which, a sequential item-kNN.

Counts which item comes within a few events after which, closer ones counting more: the sequential rules
of Ludewig and Jannach 2018, "Evaluation of session-based recommendation algorithms", weighted by
1/distance, with sublinear counts, and with the popularity of the following item partly discounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Ragged
from scipy import sparse

from cuvee_neighbors.pruned import blocks_of, keep_largest, stacked

__all__ = ["count_transitions", "fit_transitions"]

Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"


def count_transitions(events: Ragged, n_items: int, window: int) -> Iterator[Matrix]:
    """How often one item follows another, a block of rows at a time.

    Args:
        events: one row per user, oldest first.
        n_items: items of the model.
        window: how many events ahead still count; the d-th counts 1/d.

    Yields:
        float32[rows, N], sparse, zero diagonal, together float32[N, N]: entry (i, j) is how often j
        came after i.
    """
    user, items = events.rows, events.items
    window = min(window, max(len(items) - 1, 0))
    # events sorted by item, so that a block of items is one run
    by_item = np.argsort(items, kind="stable")
    often = np.bincount(items, minlength=n_items)
    ends = np.concatenate([[0], np.cumsum(often)])
    for mine in blocks_of(often * max(window, 1)):
        at = by_item[ends[mine.start] : ends[mine.stop]]
        first, then, weights = [], [], []
        for distance in range(1, window + 1):
            before = at[at < len(items) - distance]
            after = before + distance
            # an item after itself is a repetition, which says nothing about the next item
            pair = (user[before] == user[after]) & (items[before] != items[after])
            first.append(items[before[pair]] - mine.start)
            then.append(items[after[pair]])
            weights.append(np.full(int(pair.sum()), 1 / distance, np.float32))
        shape = (mine.stop - mine.start, n_items)
        if not first:
            yield sparse.csr_array(shape, dtype=np.float32)
            continue
        where = (np.concatenate(first), np.concatenate(then))
        yield sparse.csr_array(sparse.coo_array((np.concatenate(weights), where), shape=shape).tocsr())


def fit_transitions(
    events: Ragged, n_items: int, *, window: int, power: float, smoothing: float, damping: float, neighbours: int
) -> Matrix:
    """Weights from the counts c(i, j) of transitions.

    They are::

        w(i, j) = c(i, j)^power / (sum_j c(i, j)^power + smoothing) / p(j)^damping

    where p(j) is the sum of transitions to j plus ``smoothing``, relative to an average item. The
    ``neighbours`` largest of each row are kept. Counts are computed twice, since p is only known after a
    full pass, and storing them would take too much memory.

    Returns:
        float32[N, N], sparse: row i has the weights of the items that follow item i.
    """
    reaching = np.zeros(n_items)
    for counts in count_transitions(events, n_items, window):
        reaching += np.bincount(counts.indices, counts.data ** np.float32(power), n_items)
    popular = _relative(reaching + smoothing) ** damping
    parts = []
    for counts in count_transitions(events, n_items, window):
        counts.data **= np.float32(power)
        leaving = np.asarray(counts.sum(axis=1), np.float64).ravel()
        row = np.repeat(np.arange(len(leaving)), np.diff(counts.indptr))
        counts.data /= ((leaving + smoothing)[row] * popular[counts.indices]).astype(np.float32)
        parts.append(keep_largest(counts, neighbours))
    return stacked(parts, n_items)


def _relative(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values relative to their mean; 1 where all are 0."""
    mean = values.mean() if len(values) else 0.0
    return values / mean if mean > 0 else np.ones_like(values)
