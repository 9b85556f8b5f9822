"""Cross-fitting: weights learnt on some people and measured on others, so that figures are not optimistic.

The people are divided into folds. Each fold's weights are learnt on all the others, and the fold is
measured with them. The final weights are the mean of the folds' weights, which varies less than any
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.recommender import Bools, Ints
from cuvee.tuning.objective import Objective, PerCase, Weights
from cuvee.tuning.search import learn_weights, normalised

__all__ = ["FOLDS", "CrossFit", "cross_fit", "deal", "of_people", "trimmed", "weighted_mean"]

FOLDS = 4
LEAST = 0.02
"""Weights below this are dropped: a source that hardly counts should not be called."""


def deal(people: Ints, seed: int = 0) -> Ints:
    """int32[B]: the fold of each case; all cases of a person (int32[B]) are in one."""
    known, at = np.unique(people, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(known)) % FOLDS
    return dealt[at].astype(np.int32)


def weighted_mean(values: PerCase, share: PerCase) -> float:
    """The mean of float64[B] values weighted by float64[B]; 0 where all weights are 0."""
    total = float(share.sum())
    return float(values @ share) / total if total > 0 else 0.0


def of_people(values: PerCase, share: PerCase, people: Ints) -> PerCase:
    """float64[P]: one number per person who has a share, whose mean is the weighted mean of the cases."""
    known, at = np.unique(people, return_inverse=True)
    sums = np.bincount(at, values * share, minlength=len(known))
    shares = np.bincount(at, share, minlength=len(known))
    asked = shares > 0
    return np.asarray(sums[asked] / max(float(shares[asked].mean()), 1e-12))


@dataclass(frozen=True)
class CrossFit:
    """The tables that were learnt, one per fold, over p sources and S segments."""

    objective: Objective
    folds: Ints
    """int32[B]: the fold of each case."""
    tables: Sequence[Weights]
    """float64[p, S] each, columns adding up to 1."""

    @property
    def spread(self) -> Weights:
        """float64[p, S]: the standard deviation of each weight between the folds."""
        return np.asarray(np.std(self.tables, axis=0))

    def values(self) -> PerCase:
        """float64[B]: each case measured with the table that was learnt without its person."""
        out = np.zeros(self.objective.n_cases)
        for fold, table in enumerate(self.tables):
            mine = [block for block in self.objective.blocks if self.folds[block.cases[0]] == fold]
            out += self.objective.values(table, mine)
        return out

    def replaced(self, segment: int, column: Weights) -> CrossFit:
        """With the weights of one segment set to float64[p] in every fold."""
        tables = []
        for table in self.tables:
            changed = table.copy()
            changed[:, segment] = column
            tables.append(changed)
        return replace(self, tables=tables)


def trimmed(weights: Weights, allowed: Bools) -> Weights:
    """float64[p, S]: rounded to three digits, without weights that hardly count."""
    weights = normalised(weights, allowed)
    kept = np.where(weights >= LEAST, weights, 0)
    return np.asarray(np.round(normalised(kept, allowed & (kept > 0)), 3))


def cross_fit(objective: Objective, allowed: Bools, folds: Ints, told: Callable[[], None] = lambda: None) -> CrossFit:
    """Learn a table for each fold from the other folds' blocks. ``told`` is called twice per fold."""
    tables = []
    for fold in range(FOLDS):
        others = [block for block in objective.blocks if folds[block.cases[0]] != fold]
        tables.append(learn_weights(objective, others, allowed, told))
    return CrossFit(objective, folds, tables)
