"""Listwise learning: coefficients under which the right items are likeliest among the candidates.

The loss is minus the logarithm of the right item's share under a softmax over the candidates that
compete with it; weights (0 or more, per source and segment) and coefficients (per source) are
learnt together. Source: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise
Approach", ICML 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from cuvee.ranking.blend import Lesson
from cuvee.recommender import Bools, Floats

__all__ = ["learn_coefficients"]

NEAREST = 100
"""How many of the highest candidates of a case are used for learning; the others hardly matter."""
CASES = 2500
"""How many cases are used at most: there are few coefficients."""
RIDGE_WEIGHTS = 1e-4
"""How strongly weights are shrunk to 0: just enough to keep them finite."""
RIDGES = (1.0, 0.1, 0.01)
"""How strongly coefficients are shrunk to 0: the value is used that makes held-out cases likeliest."""
STEPS = 60
LEAST = 0.02
"""From this share of all weights on, of either sign, a source may count against items: less is chance."""

Matrix: TypeAlias = npt.NDArray[np.float64]
Features = Callable[[Lesson], Floats]
"""A lesson to float32[p, 1 + F, b, M]: each source's value, then what its coefficients multiply."""


@dataclass(frozen=True)
class _Sample:
    """n cases with their K nearest candidates."""

    features: Floats
    """float32[n, p, 1 + F, K]."""
    right: Bools
    """bool[n, K]."""
    absent: Bools
    """bool[n, K]."""
    shares: Floats
    """float32[S, n]."""
    importance: Matrix
    """float64[n], adding up to 1."""

    def select(self, kept: Bools) -> _Sample:
        """Those of the cases, bool[n]."""
        importance = self.importance[kept]
        return _Sample(
            self.features[kept],
            self.right[kept],
            self.absent[kept],
            self.shares[:, kept],
            importance / max(float(importance.sum()), 1e-300),
        )


def _drawn(lessons: Sequence[Lesson]) -> list[Lesson]:
    """At most ``CASES`` cases, of those that have a right candidate."""
    able = [(at, row) for at, one in enumerate(lessons) for row in np.flatnonzero(one.relevant.any(axis=1))]
    order = np.random.default_rng(0).permutation(len(able))[:CASES]
    picked: dict[int, list[int]] = {}
    for which in np.sort(order):
        at, row = able[which]
        picked.setdefault(at, []).append(int(row))
    return [lessons[at].select(np.array(rows)) for at, rows in picked.items()]


def _nearest(lessons: Sequence[Lesson], features: Features, weights: Matrix) -> _Sample:
    """The candidates that stand highest under given weights, float64[p, S], values being read as they are.

    Cases whose right candidates are not among them are left out: to put these in would teach that
    what stood low is right. With the set chosen whoever is right, what is learnt is what would be
    learnt from all candidates (McFadden, "Modelling the choice of residential location", 1978).
    """
    parts: list[tuple[Floats, Bools, Bools]] = []
    for lesson in lessons:
        found = features(lesson)
        mixed = (weights @ lesson.shares).astype(np.float32)
        scores = np.einsum("pbm,pb->bm", found[:, 0], mixed)
        present = lesson.opinions.present
        keys = np.where(present, -scores, np.inf)
        k = min(NEAREST, keys.shape[1])
        columns = np.argpartition(keys, k - 1, axis=1)[:, :k]
        wide = np.zeros((len(columns), NEAREST), np.bool_)
        features_of = np.zeros((*found.shape[:2], len(columns), NEAREST), np.float32)
        features_of[..., :k] = np.take_along_axis(found, columns[None, None], axis=3)
        right, absent = wide.copy(), ~wide
        right[:, :k] = np.take_along_axis(lesson.relevant, columns, axis=1)
        absent[:, :k] = ~np.take_along_axis(present, columns, axis=1)
        parts.append((np.moveaxis(features_of, 2, 0), right, absent))
    sample = _Sample(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
        np.concatenate([lesson.shares for lesson in lessons], axis=1),
        np.concatenate([lesson.importance for lesson in lessons]),
    )
    return sample.select(np.asarray(sample.right.any(axis=1)))


def _surprise(sample: _Sample, weights: Matrix, read: Matrix) -> tuple[float, Matrix, Matrix]:
    """The loss, and its gradient by float64[p, S] weights and by float64[p, 1 + F] readings."""
    mixed = weights @ sample.shares
    product = (mixed.T[:, :, None] * read).astype(np.float32)
    n, p, f, k = sample.features.shape
    scores = np.matmul(product.reshape(n, 1, p * f), sample.features.reshape(n, p * f, k))[:, 0].astype(np.float64)
    scores[sample.absent] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    worth = np.exp(scores)
    sums = worth.sum(axis=1, keepdims=True)
    share = sample.right / sample.right.sum(axis=1, keepdims=True)
    of_case = sample.importance[:, None]
    surprise = np.log(sums) - np.where(sample.right, scores, 0)
    value = float((of_case * share * surprise).sum())
    wrong = (of_case * (worth / sums - share)).astype(np.float32)
    by_product = np.matmul(sample.features.reshape(n, p * f, k), wrong[:, :, None]).reshape(n, p, f)
    by_weight = np.einsum("npf,pf->pn", by_product, read) @ sample.shares.T
    by_read = np.einsum("npf,pn->pf", by_product, mixed)
    return value, np.asarray(by_weight, np.float64), np.asarray(by_read, np.float64)


def _read(coefficients: Matrix, signs: Matrix) -> Matrix:
    """float64[p, 1 + F]: what multiplies each feature of a source, weight aside."""
    return np.asarray(signs[:, None] * np.concatenate([np.ones((len(signs), 1)), coefficients], axis=1))


def _likeliest_weights(sample: _Sample, weights: Matrix, unit: float) -> Matrix:
    """float64[p, S] of either sign: the likeliest, values being read as they are. A convex problem."""
    read = _read(np.zeros((len(weights), sample.features.shape[2] - 1)), np.ones(len(weights)))

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        table = flat.reshape(weights.shape)
        value, slope, _ = _surprise(sample, table, read)
        ridge = RIDGE_WEIGHTS / unit**2
        return value + ridge * float((table**2).sum()), (slope + 2 * ridge * table).ravel()

    found = minimize(loss, weights.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return np.asarray(found.x).reshape(weights.shape)


def _likeliest(sample: _Sample, weights: Matrix, signs: Matrix, unit: float, ridge: float) -> tuple[Matrix, Matrix]:
    """float64[p, S] and float64[p, F]: the likeliest weights, 0 or more, and coefficients, learnt together."""
    size, shape = weights.size, (len(weights), sample.features.shape[2] - 1)

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        table, own = flat[:size].reshape(weights.shape), flat[size:].reshape(shape)
        value, by_weight, by_read = _surprise(sample, table, _read(own, signs))
        of_weights, of_own = RIDGE_WEIGHTS / unit**2, ridge * unit**2
        value += of_weights * float((table**2).sum()) + of_own * float((own**2).sum())
        by_own = signs[:, None] * by_read[:, 1:] + 2 * of_own * own
        return value, np.concatenate([(by_weight + 2 * of_weights * table).ravel(), by_own.ravel()])

    # above 0: the coefficients of a source without weight would have no effect, and never be learnt
    begin = np.maximum(weights * signs[:, None], LEAST * np.abs(weights).sum(axis=0))
    start = np.concatenate([begin.ravel(), np.zeros(shape).ravel()])
    bounds = [(0, None)] * size + [(None, None)] * (len(start) - size)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    return found[:size].reshape(weights.shape), found[size:].reshape(shape)


def _ridge(sample: _Sample, weights: Matrix, signs: Matrix, unit: float) -> float:
    """The shrinkage under which a third of the cases is likeliest when the others were used for learning."""
    other = np.random.default_rng(1).permutation(len(sample.right)) % 3 == 0
    taught, asked = sample.select(~other), sample.select(other)
    surprises = []
    for ridge in RIDGES:
        table, own = _likeliest(taught, weights, signs, unit, ridge)
        surprises.append(_surprise(asked, table, _read(own, signs))[0])
    return RIDGES[int(np.argmin(surprises))]


def learn_coefficients(lessons: Sequence[Lesson], features: Features) -> tuple[Bools, Matrix]:
    """Learn how each source is to be read.

    Returns bool[p], which sources count against an item, and float64[p, F], what the features of
    each count in units of its value. Nothing and 0 where no lesson has a right candidate.
    """
    drawn = _drawn(lessons)
    p, f = features(lessons[0].select(np.zeros(0, np.int64))).shape[:2]
    none = np.zeros((p, f - 1))
    if not drawn:
        return np.zeros(p, np.bool_), none
    spreads = [np.nanstd(v) for v in (one.opinions.calibrated for one in drawn) if not np.isnan(v).all()]
    unit = 1 / max(float(np.mean(spreads)) if spreads else 1.0, 1e-9)
    weights = np.full((p, len(drawn[0].shares)), unit / p)
    for _ in range(2):  # which candidates are the highest depends on the weights
        sample = _nearest(drawn, features, weights)
        if not len(sample.right):
            return np.zeros(p, np.bool_), none
        weights = _likeliest_weights(sample, weights, unit)
    sample = _nearest(drawn, features, weights)
    total = weights @ (sample.shares @ sample.importance)
    against = total < -LEAST * np.abs(total).sum()
    signs = np.where(against, -1.0, 1.0)
    ridge = _ridge(sample, weights, signs, unit) if len(sample.right) > 2 else RIDGES[0]
    return against, _likeliest(sample, weights, signs, unit, ridge)[1]
