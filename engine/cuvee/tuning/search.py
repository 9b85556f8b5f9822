"""The search for weights: a smooth start, then steps on the metric itself.

The start maximises the likelihood of the right items under a softmax over the candidates (a
listwise loss, convex in the weights): its minimum is found in seconds and is stable on small samples.
From there single weights are multiplied, divided and dropped as long as the metric itself rises.
The result is the mean of both: on MovieLens 1M (5,040 users in two halves, out of fold) the
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

from cuvee.recommender import Bools, Floats, Offsets
from cuvee.tuning.objective import Block, Objective, Weights, weighed

__all__ = ["ascend", "learn_weights", "likeliest", "normalised"]

STEPS = (2.0, 1.4, 1.15)
"""Factors that a weight is multiplied and divided by, coarse to fine."""
ENTRY = 0.05
"""Share at which a source of weight 0 is tried again."""
SWEEPS = 6
"""How often all sources are tried with each factor, at most."""
ENOUGH = 3000
"""How many cases of a segment the smooth start uses."""
RIDGE = 1e-4
"""Regularisation that keeps the weights finite where a source is never wrong."""


def normalised(weights: Weights, allowed: Bools) -> Weights:
    """float64[p, S] with columns adding up to 1; the allowed share equally where all are 0."""
    kept = np.where(allowed, weights, 0)
    kept = np.where(kept.sum(axis=0) > 0, kept, allowed)
    return np.asarray(kept / np.maximum(kept.sum(axis=0), 1e-12), np.float64)


def _importance(blocks: Sequence[Block]) -> Weights:
    """float64[S]: one over the total weight of each segment's cases, so that all segments count equally."""
    total = np.sum([block.counts.sum(axis=1) for block in blocks], axis=0)
    return np.asarray(np.divide(1.0, total, where=total > 0, out=np.zeros(len(total))))


def _enough(blocks: Sequence[Block]) -> Sequence[Block]:
    """The blocks, or evenly chosen ones where a segment has more than :data:`ENOUGH` cases."""
    kept: set[int] = set()
    for segment in range(len(blocks[0].shares) if blocks else 0):
        mine = [at for at, block in enumerate(blocks) if block.counts[segment].any()]
        total = sum(float(blocks[at].counts[segment].sum()) for at in mine)
        wanted = max(1, round(len(mine) * min(1.0, ENOUGH / max(total, 1.0))))
        kept.update(mine[round(i)] for i in np.linspace(0, len(mine) - 1, wanted) if mine)
    return [blocks[at] for at in sorted(kept)]


def likeliest(blocks: Sequence[Block], allowed: Bools) -> Weights:
    """float64[p, S]: the weights, 0 or more, that maximise the likelihood of the right items.

    For blocks with a basis. ``allowed`` (bool[p, S]) marks the weights that may differ from 0.
    """
    blocks = _enough(blocks)
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
    basis = _basis(block)
    scores = unit * weighed(basis, (weights @ block.shares).astype(np.float32))
    scores[block.absent] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    worth = np.exp(scores)
    sums = worth.sum(axis=1, keepdims=True)
    rows, columns = block.right
    counts = np.bincount(rows, minlength=len(scores))
    of_case = importance @ block.counts
    of_right = (of_case / np.maximum(counts, 1))[rows]
    value = float(of_right @ (np.log(sums[rows, 0]) - scores[rows, columns]))
    wrong = worth * (of_case[:, None] / sums).astype(np.float32)
    wrong[rows, columns] -= of_right.astype(np.float32)
    by_query = unit * np.einsum("bm,pbm->pb", wrong, basis)
    return value, np.asarray(by_query @ block.shares.T, np.float64)


class _Segment:
    """The metric of one segment's cases as a function of its own column of weights, the others fixed.

    With a basis, a step on one source costs one product, since the others' contributions are cached.
    """

    def __init__(self, objective: Objective, blocks: Sequence[Block], weights: Weights, segment: int) -> None:
        self.objective, self.blocks, self.weights, self.segment = objective, blocks, weights.copy(), segment
        share = np.zeros(objective.n_cases)
        for block in blocks:
            share[block.cases] = block.counts[segment]
        self.share = share / share.sum()
        self._settle()

    def _settle(self) -> None:
        """Recompute the sum of contributions for the present column."""
        self.own: list[Floats] = []
        self.rest: list[Floats | None] = []
        if not self.objective.linear:
            return
        column = self.weights[:, self.segment]
        others = self.weights.copy()
        others[:, self.segment] = 0
        for block in self.blocks:
            basis = _basis(block)
            self.own.append(weighed(basis, np.repeat(column[:, None], basis.shape[1], axis=1).astype(np.float32)))
            mixed = (block.shares[self.segment] < 1).any()
            self.rest.append(weighed(basis, (others @ block.shares).astype(np.float32)) if mixed else None)

    def worth(self, source: int, value: float) -> float:
        """The metric with one weight changed, the column adding up to 1 again."""
        column = self.weights[:, self.segment].copy()
        step, column[source] = value - column[source], value
        if column.sum() <= 0:
            return -1.0
        if not self.objective.linear:
            table = self.weights.copy()
            table[:, self.segment] = column / column.sum()
            return float(self.share @ self.objective.values(table, self.blocks))
        total = 0.0
        for block, own, rest in zip(self.blocks, self.own, self.rest, strict=True):
            scores = own + np.float32(step) * _basis(block)[source]
            if rest is not None:
                scores *= (block.shares[self.segment] / column.sum()).astype(np.float32)[:, None]
                scores += rest
            total += float(self.share[block.cases] @ block.measured(scores, self.objective.measure))
        return total

    def take(self, source: int, value: float) -> None:
        """Apply a change."""
        self.weights[source, self.segment] = value
        self.weights[:, self.segment] /= self.weights[:, self.segment].sum()
        self._settle()


def _basis(block: Block) -> Floats:
    if block.basis is None:
        raise TypeError("the blender is not linear in its weights")
    return block.basis


def ascend(objective: Objective, blocks: Sequence[Block], weights: Weights, allowed: Bools) -> Weights:
    """float64[p, S]: steps on single weights, segment by segment, as long as the metric rises."""
    weights = normalised(weights, allowed)
    for segment in range(weights.shape[1]):
        mine = [block for block in blocks if block.counts[segment].any()]
        if allowed[:, segment].sum() > 1 and mine:
            weights = _ascended(_Segment(objective, mine, weights, segment), np.flatnonzero(allowed[:, segment]))
    return weights


def _ascended(at: _Segment, sources: Offsets) -> Weights:
    """The table with one segment's column improved."""
    best = at.worth(int(sources[0]), at.weights[sources[0], at.segment])
    for step in STEPS:
        for _ in range(SWEEPS):
            before = best
            for source in sources.tolist():
                now = at.weights[source, at.segment]
                tried = (now * step, now / step, 0.0) if now > 0 else (ENTRY * step,)
                found = [at.worth(source, value) for value in tried]
                top = int(np.argmax(found))
                # a source that changes nothing is better left out
                if now > 0 and found[-1] >= best and found[-1] >= found[top]:
                    top = len(found) - 1
                if found[top] > best + 1e-9 or (now > 0 and tried[top] == 0 and found[top] >= best):
                    best = found[top]
                    at.take(source, tried[top])
            if best <= before:
                break
    return at.weights


def learn_weights(
    objective: Objective, blocks: Sequence[Block], allowed: Bools, told: Callable[[], None] = lambda: None
) -> Weights:
    """float64[p, S], columns adding up to 1: the weights learnt from the cases of ``blocks``.

    ``told`` is called after each of the two steps. For a blender that is not linear in its weights, the
    smooth start is replaced by equal weights. Without a block (no right item is a candidate) there is
    nothing to learn from, and the weights are equal.
    """
    if not blocks:
        told()
        told()
        return normalised(allowed.astype(np.float64), allowed)
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
