"""The objective: the product's metric for any table of weights, computed with numpy alone.

The opinions are gathered once (:mod:`cuvee.tuning.opinions`). A blender that is linear in its weights is
called once, with all weights 1. Its result is the basis, and the scores under any weights are a product
with it. Another blender is called each time. So the one implementation of blending is that of serving.

``p`` sources, ``S`` segments, ``W`` float64[p, S] is a table of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cuvee.evaluation import metrics
from cuvee.ranking.blend import live_weights
from cuvee.recommender import Bools, Floats, Offsets

__all__ = ["METRICS", "Block", "Measure", "Objective", "PerCase", "Weights"]

Weights: TypeAlias = npt.NDArray[np.float64]
PerCase: TypeAlias = npt.NDArray[np.float64]
Scores: TypeAlias = Callable[[Floats], Floats]
"""float32[p, b] weights, adding up to 1 over each case's live sources, to float32[b, M] scores."""

METRICS: Mapping[str, Callable[[Bools, int, Offsets], PerCase]] = {
    "ndcg": metrics.ndcg,
    "hit_rate": lambda found, k, _: metrics.hit_rate(found, k),
    "recall": metrics.recall,
    "mrr": lambda found, k, _: metrics.reciprocal_rank(found, k),
}
"""The metrics to tune for: those of :mod:`cuvee.evaluation.metrics` that depend on the order."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of the first k items."""

    metric: str
    """A key of :data:`METRICS`."""
    k: int

    def __call__(self, found: Bools, n_relevant: Offsets) -> PerCase:
        """float64[b] from bool[b, k], whether the item at each place is right."""
        return METRICS[self.metric](found, self.k, n_relevant)

    def __str__(self) -> str:
        return f"{self.metric}@{self.k}"


@dataclass(frozen=True)
class Block:
    """Some cases with histories of similar length, and the sources' opinions on them."""

    cases: Offsets
    """int64[b]: the numbers of the cases."""
    shares: Floats
    """float32[S, b], columns adding up to 1: how far each case belongs to each segment."""
    counts: Floats
    """float32[S, b]: the weight of each case in each segment: that of ``shares``, or 0 where it is not used."""
    live: Bools
    """bool[p, b]: which sources have an opinion."""
    basis: Floats | None
    """float32[p, b, M]: contributions at weight 1 of a blender that is linear in its weights."""
    scores: Scores | None
    """How to call another blender."""
    absent: Bools
    """bool[b, M]: true where the row is padded."""
    proposed: Bools
    """bool[p, b, M]: which candidates come from the source itself; it may have an opinion on the others as well."""
    right: tuple[Offsets, Offsets]
    """Row and column of every candidate that was held out."""
    n_relevant: Offsets
    """int64[b]: how many items were held out, whether or not they are candidates."""

    def missing(self, weights: Floats) -> Bools:
        """bool[b, M]: which candidates are not there under float32[p, b] weights.

        A source without weight is not asked, so it proposes none.
        """
        if weights.all():
            return self.absent
        found = self.absent.copy()
        asked = weights > 0
        for sources in np.unique(asked, axis=1).T:
            alike = np.flatnonzero((asked == sources[:, None]).all(axis=0))
            found[alike] |= ~self.proposed[np.ix_(sources, alike)].any(axis=0)
        return found

    def places(self, scores: Floats, absent: Bools | None = None) -> Offsets:
        """The rank, from 0, of each right candidate: equal scores are ordered by position, as in serving.

        ``absent`` (bool[b, M]) are candidates that are not there; the padding by default. A right one
        among them comes after all others.
        """
        absent = self.absent if absent is None else absent
        rows, columns = self.right
        own = scores[rows, columns]
        # usually one right item per case, in order: no need to copy
        shown = scores if len(rows) == len(scores) and (rows == np.arange(len(rows))).all() else scores[rows]
        gone = absent[rows, columns]
        if shown is not scores:
            absent = absent[rows]
        ahead = ((shown > own[:, None]) & ~absent).sum(axis=1)
        equal = (shown == own[:, None]) & ~absent
        tied = np.flatnonzero(equal.sum(axis=1) > 1)
        if len(tied):
            before = np.arange(shown.shape[1]) < columns[tied, None]
            ahead[tied] += (equal[tied] & before).sum(axis=1)
        return np.asarray(np.where(gone, scores.shape[1], ahead), np.int64)

    def measured(self, scores: Floats, measure: Measure, absent: Bools | None = None) -> PerCase:
        """float64[b]; ``absent`` as for :meth:`places`."""
        places = self.places(scores, absent)
        near = places < measure.k
        found = np.zeros((len(self.cases), measure.k), np.bool_)
        found[self.right[0][near], places[near]] = True
        return measure(found, self.n_relevant)


class Objective:
    """The metric of each case under given weights."""

    def __init__(self, blocks: Sequence[Block], n_cases: int, measure: Measure) -> None:
        self.blocks = blocks
        self.n_cases = n_cases
        self.measure = measure

    @property
    def linear(self) -> bool:
        """Whether scores are a product with a basis."""
        return all(block.basis is not None for block in self.blocks)

    def values(self, weights: Weights, blocks: Iterable[Block] | None = None) -> PerCase:
        """float64[n_cases]: each case's metric; 0 for other cases, and where no right item is a candidate.

        As in serving, sources without weight are not asked, so what they alone propose is no candidate.
        """
        out = np.zeros(self.n_cases)
        for block in self.blocks if blocks is None else blocks:
            absent = block.missing((weights @ block.shares).astype(np.float32))
            out[block.cases] = block.measured(scores_of(block, weights), self.measure, absent)
        return out


def scores_of(block: Block, weights: Weights) -> Floats:
    """float32[b, M]: a block's scores under float64[p, S] weights."""
    mixed = live_weights((weights @ block.shares).astype(np.float32), block.live)
    if block.basis is not None:
        return weighed(block.basis, mixed)
    if block.scores is None:
        raise ValueError("a block needs a basis, or a blender to call")
    return block.scores(mixed)


def weighed(basis: Floats, weights: Floats) -> Floats:
    """float32[b, M]: the sum over the sources of float32[p, b] weights times float32[p, b, M]."""
    out = np.zeros(basis.shape[1:], np.float32)
    for one, weight in zip(basis, weights, strict=True):
        if weight.any():
            out += weight[:, None] * one
    return out
