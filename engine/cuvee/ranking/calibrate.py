"""Calibration: bring each source's raw scores to a scale that sources can share.

Every calibrator is monotone within a row, keeps NaN ("no opinion") and maps float32[B, M] to
float32[B, M]. ``quantile`` learns the source's score distribution at fit; the others look at
the row alone. All but ``rank`` keep how far apart opinions are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import ndtri

from cuvee.kernels import zscore
from cuvee.ranking.places import places
from cuvee.recommender import Floats

__all__ = ["Calibrator", "MinMax", "Quantile", "Rank", "ZScore"]

LIMIT = 1e6
"""Normal scores are cut to this range, also where a source now gives scores far outside those seen at fit."""


class Calibrator(ABC):
    """Maps one source's raw scores to the shared scale."""

    learns: ClassVar[bool] = False
    """Whether :meth:`learn` must have seen scores of the source before."""

    def __init__(self, learnt: Mapping[str, list[float]]) -> None:
        """``learnt`` is what :meth:`learn` returned, read back from the artefact's manifest."""
        self.learnt = learnt

    @classmethod
    def learn(cls, scores: Floats) -> dict[str, list[float]]:
        """Learn from float32[n] finite scores that the source gave to unions of candidates."""
        return {}

    @abstractmethod
    def calibrate(self, scores: Floats) -> Floats:
        """float32[B, M] -> float32[B, M]; NaN stays NaN; never reverses two items of a row."""


class Quantile(Calibrator):
    """The normal score of a raw score's place in the distribution learnt at fit (a probit scale).

    0 is the source's median opinion, 1 what 84 % of its opinions stay below, 3 what 99.87 % do: the
    unit is that of ``zscore``, but the same raw score means the same for every user, and a source
    with a skewed distribution comes out as even as the others. Levels alone (0 to 1) would be flat
    just where lists are made: the best and the tenth of a thousand are 0.999 and 0.99.

    Source: Blom, "Statistical Estimates and Transformed Beta-Variables", 1958 (normal scores);
    Conover, "Practical Nonparametric Statistics", ch. 5 (van der Waerden).
    """

    learns = True
    KNOTS = 129
    """The number of evenly spaced levels; towards both ends further levels halve the distance again and again."""
    TAIL = 20
    """How many scores must lie beyond the outermost knot: fewer say nothing reliable."""

    def __init__(self, learnt: Mapping[str, list[float]]) -> None:
        super().__init__(learnt)
        given = np.asarray(learnt.get("quantiles", ()), np.float64)
        levels = np.asarray(learnt.get("levels", np.linspace(0, 1, len(given) + 2)[1:-1]), np.float64)
        # equal quantiles are one value that occurs often: its level is the middle of them
        self._values, first, count = np.unique(given, return_index=True, return_counts=True)
        middle = (levels[first] + levels[first + count - 1]) / 2 if len(given) else levels
        self._scores = ndtri(middle)

    @classmethod
    def learn(cls, scores: Floats) -> dict[str, list[float]]:
        """The quantiles at levels that grow denser towards both ends."""
        if not len(scores):
            return {}
        outermost = min(cls.TAIL / len(scores), 0.5 / cls.KNOTS)
        halvings = np.arange(1, max(int(np.log2(1 / cls.KNOTS / outermost)), 0) + 1)
        tail = np.concatenate([2.0**-halvings / cls.KNOTS, [outermost]])
        levels = np.unique(np.concatenate([tail, np.linspace(0, 1, cls.KNOTS)[1:-1], 1 - tail]))
        quantiles = np.quantile(scores.astype(np.float64), levels)
        return {"quantiles": [float(q) for q in quantiles], "levels": [float(level) for level in levels]}

    def calibrate(self, scores: Floats) -> Floats:
        """Interpolated between the knots; beyond them extrapolated with the slope of the last two."""
        x, y = self._values, self._scores
        if not len(x):  # nothing was learnt of a source that had no opinion at fit
            return ZScore({}).calibrate(scores)
        if len(x) == 1:
            x, y = np.append(x, x + max(abs(float(x[0])), 1.0)), np.append(y, y + 1)
        raw = scores.astype(np.float64)
        reach = min(4, len(x) - 1)
        low, high = (y[reach] - y[0]) / (x[reach] - x[0]), (y[-1] - y[-1 - reach]) / (x[-1] - x[-1 - reach])
        inside = np.interp(raw, x, y)
        levels = inside + low * np.minimum(raw - x[0], 0) + high * np.maximum(raw - x[-1], 0)
        return np.asarray(np.clip(levels, -LIMIT, LIMIT), np.float32)


class Rank(Calibrator):
    """From 1 for the row's best opinion towards 0 for its last; equal opinions get the mean of their ranks."""

    def calibrate(self, scores: Floats) -> Floats:
        """(number below + half of the equals) / number of opinions."""
        higher, equal = places(scores)
        known = ~np.isnan(scores)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        return np.where(known, 1 - (higher + equal / 2) / count, np.nan).astype(np.float32)


class MinMax(Calibrator):
    """0 for the row's lowest opinion, 1 for its highest; all equal: 0.5."""

    def calibrate(self, scores: Floats) -> Floats:
        """(x - min) / (max - min)."""
        known = ~np.isnan(scores)
        low = np.min(scores, axis=1, where=known, initial=np.inf, keepdims=True)
        high = np.max(scores, axis=1, where=known, initial=-np.inf, keepdims=True)
        span = np.where(high > low, high - low, 1)
        scaled = np.where(high > low, (scores - np.where(np.isfinite(low), low, 0)) / span, 0.5)
        return np.where(known, scaled, np.nan).astype(np.float32)


class ZScore(Calibrator):
    """Standard deviations above the row's mean opinion; all equal: 0."""

    def calibrate(self, scores: Floats) -> Floats:
        """(x - mean) / standard deviation."""
        return zscore(scores)
