"""Curves: how the metric of a segment changes with the weight of each source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.recommender import Bools
from cuvee.tuning.objective import Objective, PerCase, Weights

__all__ = ["Curve", "SegmentCurves", "curves_of"]

GRID = tuple(float(x) for x in np.linspace(0, 1, 11))
"""Weights at which each source is tried."""


@dataclass(frozen=True)
class Curve:
    """The metric against the weight of one source, the others keeping their proportions."""

    source: str
    weights: Sequence[float]
    values: Sequence[float]
    chosen: float
    """The weight that was learnt."""


@dataclass(frozen=True)
class SegmentCurves:
    """The curves of one segment."""

    segment: str
    title: str
    curves: Sequence[Curve]
    learnt: float
    """The metric at the learnt weights, on the same cases."""
    best_member: str
    best_value: float


def curves_of(
    objective: Objective, weights: Weights, allowed: Bools, share: PerCase, segment: int, sources: Sequence[str]
) -> Sequence[Curve]:
    """The curves of a segment's sources.

    ``allowed`` is bool[p, S]; ``share``, float64[B], how far each case belongs to the segment.

    Where the learnt weights are one source's alone, the others share what it leaves equally.
    """
    blocks = [block for block in objective.blocks if block.shares[segment].any()]
    share = share / max(share.sum(), 1e-12)
    curves = []
    for source, name in enumerate(sources):
        if not allowed[source, segment]:
            continue
        others = weights[:, segment].copy()
        others[source] = 0
        if not others.any():
            others = np.where(allowed[:, segment], 1.0, 0.0)
            others[source] = 0
        grid = GRID if others.any() else (1.0,)
        values = []
        for x in grid:
            tried = weights.copy()
            tried[:, segment] = (1 - x) * others / max(others.sum(), 1e-12)
            tried[source, segment] = x
            values.append(float(share @ objective.values(tried, blocks)))
        curves.append(Curve(name, grid, values, float(weights[source, segment])))
    return curves
