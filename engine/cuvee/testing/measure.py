"""How often a recommender is right on a toy."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from cuvee.recommender import Candidates, Floats, Queries, Ragged

__all__ = ["precision", "separation"]


def separation(scores: Floats, queries: Queries, answers: Ragged) -> float:
    """How often a right item is scored above a wrong one: the mean over queries, from 0 to 1.

    ``scores`` is float32[B, N], of all items in order. Ties count half, NaN is below all, excluded
    items do not count. A random order has 0.5. (It is the area under the ROC curve.)
    """
    found = []
    for b, row in enumerate(np.where(np.isnan(scores), -np.inf, scores)):
        right = np.zeros(len(row), np.bool_)
        right[answers.row(b)] = True
        counted = np.ones(len(row), np.bool_)
        counted[queries.excluded.row(b)] = False
        ranks, right = rankdata(row[counted]), right[counted]
        n, m = int(right.sum()), int((~right).sum())
        found.append((ranks[right].sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(found))


def precision(proposed: Candidates, queries: Queries, answers: Ragged) -> float:
    """The share of right items among all that were proposed."""
    n_right = sum(int(np.isin(proposed.items[b], answers.row(b)).sum()) for b in range(len(queries)))
    return n_right / int((proposed.items >= 0).sum())
