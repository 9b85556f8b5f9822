"""The search for weights: a smooth start, then steps on the metric itself.

The start maximises the likelihood of the right items under a softmax over the candidates (a
listwise loss, convex in the weights): a minimum that is found in seconds and that small samples
do not shake. From there single weights are multiplied, divided and dropped as long as the metric
itself rises. What comes out is the mean of both: on MovieLens 1M (5,040 users, out of fold) the
start alone gave NDCG@10 0.1782, the steps alone 0.1778, their mean 0.1786; 150 trials of optuna's
TPE from the same start 0.1790 (half a standard error more) in three times as long, so that
optuna is not needed.

Sources: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007;
Metzler and Croft, "Linear feature-based models for information retrieval", 2007 (coordinate ascent).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

from cuvee.recommender import Bools
from cuvee.training.objective import Block, Objective, Weights, weighed

__all__ = ["ascend", "learn_weights", "likeliest", "normalised"]

STEPS = (2.0, 1.4, 1.15)
"""Factors that a weight is multiplied and divided by, coarse to fine."""
ENTRY = 0.05
"""Share at which a source of weight 0 is tried again."""
SWEEPS = 6
"""Times that all sources are gone through with each factor, at most."""
RIDGE = 1e-4
"""Keeps the likeliest weights finite where a source is never wrong."""


def normalised(weights: Weights, allowed: Bools) -> Weights:
    """float64[p, S] with columns adding up to 1; the allowed share equally where all are 0."""
    kept = np.where(allowed, weights, 0)
    kept = np.where(kept.sum(axis=0) > 0, kept, allowed)
    return np.asarray(kept / np.maximum(kept.sum(axis=0), 1e-12), np.float64)


def _importance(blocks: Sequence[Block]) -> Weights:
    """float64[S]: one over the number of cases of each segment, so that every segment counts alike."""
    total = np.sum([block.shares.sum(axis=1) for block in blocks], axis=0)
    return np.asarray(np.divide(1.0, total, where=total > 0, out=np.zeros(len(total))))


def likeliest(blocks: Sequence[Block], allowed: Bools) -> Weights:
    """float64[p, S]: the weights, 0 or more, under which the right items are likeliest.

    For blocks with a basis. ``allowed`` (bool[p, S]) marks the weights that may differ from 0.
    """
    importance = _importance(blocks)
    unit = 1 / max(float(np.mean([np.std(b.basis) for b in blocks if b.basis is not None])), 1e-12)

    def loss(flat: Weights) -> tuple[float, Weights]:
        weights = np.zeros(allowed.shape)
        weights[allowed] = flat
        total, slope = RIDGE * float(flat @ flat), np.zeros(allowed.shape)
        for block in blocks:
            value, gradient = _surprise(block, weights, importance, unit)
            total += value
            slope += gradient
        return total, slope[allowed] + 2 * RIDGE * flat

    start = np.full(int(allowed.sum()), 1 / len(allowed))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options={"maxiter": 60})
    weights = np.zeros(allowed.shape)
    weights[allowed] = found.x
    return normalised(weights, allowed)


def _surprise(block: Block, weights: Weights, importance: Weights, unit: float) -> tuple[float, Weights]:
    """Minus the log-likelihood of a block's right items, and its gradient by the weights."""
    if block.basis is None:
        raise TypeError("the blender is not linear in its weights")
    scores = unit * weighed(block.basis, (weights @ block.shares).astype(np.float32))
    scores[block.absent] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    worth = np.exp(scores)
    sums = worth.sum(axis=1, keepdims=True)
    rows, columns = block.right
    counts = np.bincount(rows, minlength=len(scores))
    of_case = importance @ block.shares
    of_right = (of_case / np.maximum(counts, 1))[rows]
    value = float(of_right @ (np.log(sums[rows, 0]) - scores[rows, columns]))
    wrong = worth * (of_case[:, None] / sums).astype(np.float32)
    wrong[rows, columns] -= of_right.astype(np.float32)
    by_query = unit * np.einsum("bm,pbm->pb", wrong, block.basis)
    return value, np.asarray(by_query @ block.shares.T, np.float64)


def ascend(objective: Objective, blocks: Sequence[Block], weights: Weights, allowed: Bools) -> Weights:
    """float64[p, S]: steps on single weights, segment by segment, as long as the metric rises."""
    weights = normalised(weights, allowed)
    for segment in range(weights.shape[1]):
        mine = [block for block in blocks if block.shares[segment].any()]
        if allowed[:, segment].sum() > 1 and mine:
            weights = _ascend_in(objective, mine, weights, allowed, segment)
    return weights


def _ascend_in(
    objective: Objective, blocks: Sequence[Block], weights: Weights, allowed: Bools, segment: int
) -> Weights:
    share = np.zeros(objective.n_cases)
    for block in blocks:
        share[block.cases] = block.shares[segment]
    share /= share.sum()

    def worth(table: Weights) -> float:
        return float(share @ objective.values(table, blocks))

    best = worth(weights)
    for step in STEPS:
        for _ in range(SWEEPS):
            before = best
            for source in np.flatnonzero(allowed[:, segment]):
                now = weights[source, segment]
                for value in (now * step, now / step, 0.0) if now > 0 else (ENTRY * step,):
                    tried = weights.copy()
                    tried[source, segment] = value
                    if not tried[:, segment].any():
                        continue
                    tried[:, segment] /= tried[:, segment].sum()
                    found = worth(tried)
                    # what changes nothing is better left out
                    if found > best + 1e-9 or (value == 0 and now > 0 and found >= best):
                        best, weights = found, tried
            if best <= before:
                break
    return weights


def learn_weights(
    objective: Objective, blocks: Sequence[Block], allowed: Bools, told: Callable[[], None] = lambda: None
) -> Weights:
    """float64[p, S], columns adding up to 1: the weights learnt from the cases of ``blocks``.

    ``told`` is called after each of the two steps. A blender that is not linear in its weights
    has steps alone, from equal weights.
    """
    if not objective.linear:
        learnt = ascend(objective, blocks, allowed.astype(np.float64), allowed)
        told()
        told()
        return learnt
    start = likeliest(blocks, allowed)
    told()
    learnt = (start + ascend(objective, blocks, start, allowed)) / 2
    told()
    return learnt
