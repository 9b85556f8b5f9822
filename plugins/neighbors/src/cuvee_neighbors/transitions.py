"""Transitions: what follows what, a sequential item-kNN.

Which item comes within a few events after which, nearer ones counting more: the sequential rules
of Ludewig and Jannach 2018, "Evaluation of session-based recommendation algorithms", weighted by
1/distance, with sublinear counts and the popularity of what follows partly taken out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Ragged
from scipy import sparse

from cuvee_neighbors.similarity import keep_top

__all__ = ["count_transitions", "fit_transitions"]

Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

CELLS = 4_000_000
"""Entries made dense at a time (16 MB)."""


def count_transitions(events: Ragged, n_items: int, window: int) -> Matrix:
    """How often one item follows another.

    Args:
        events: one row per user, oldest first.
        n_items: items of the model.
        window: how many events ahead still count; the d-th counts 1/d.

    Returns:
        float32[N, N], sparse, zero diagonal: entry (i, j) is how often j came after i.
    """
    rows, items = events.rows, events.items
    counts = sparse.csr_array((n_items, n_items), dtype=np.float32)
    for distance in range(1, min(window, max(len(items) - 1, 0)) + 1):
        # an item after itself is a repetition, which says nothing on what comes next
        pair = (rows[:-distance] == rows[distance:]) & (items[:-distance] != items[distance:])
        where = (items[:-distance][pair], items[distance:][pair])
        ones = np.full(len(where[0]), 1 / distance, np.float32)
        counts = counts + sparse.coo_array((ones, where), shape=counts.shape).tocsr()
    return sparse.csr_array(counts)


def fit_transitions(
    events: Ragged, n_items: int, *, window: int, power: float, smoothing: float, damping: float, neighbours: int
) -> Matrix:
    """Weights out of the counts c(i, j) of transitions.

    They are::

        w(i, j) = c(i, j)^power / (sum_j c(i, j)^power + smoothing) / p(j)^damping

    where p(j) is what reaches j, with ``smoothing`` added, relative to an average item. Kept are
    the ``neighbours`` largest of each row.

    Returns:
        float32[N, N], sparse: row i says what follows item i, and how surely.
    """
    weights = count_transitions(events, n_items, window)
    weights.data **= np.float32(power)
    leaving = np.asarray(weights.sum(axis=1), np.float64).ravel()
    reaching = np.asarray(weights.sum(axis=0), np.float64).ravel()
    popular = _relative(reaching + smoothing) ** damping
    source = np.repeat(np.arange(n_items), np.diff(weights.indptr))
    weights.data /= ((leaving + smoothing)[source] * popular[weights.indices]).astype(np.float32)
    block = max(1, CELLS // max(n_items, 1))
    parts = [keep_top(weights[at : at + block].toarray(), neighbours) for at in range(0, n_items, block)]
    return sparse.csr_array(sparse.vstack(parts)) if parts else weights


def _relative(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Relative to their mean; 1 where all are 0."""
    mean = values.mean() if len(values) else 0.0
    return values / mean if mean > 0 else np.ones_like(values)
