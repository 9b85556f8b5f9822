"""Calibration: bring each source's raw scores to a scale that sources can share.

Every calibrator is monotone within a row, keeps NaN ("no opinion") and maps float32[B, M] to
float32[B, M]. ``quantile`` learns the source's score distribution at fit; the others look at
the row alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cuvee.recommender import Floats

__all__ = ["Calibrator", "MinMax", "Quantile", "Rank", "ZScore"]


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
    """Where the score lies in the distribution learnt at fit: 0 to 1, comparable between users."""

    learns = True
    KNOTS = 257

    def __init__(self, learnt: Mapping[str, list[float]]) -> None:
        super().__init__(learnt)
        values, levels = np.unique(np.asarray(learnt.get("quantiles", (0.0, 1.0)), np.float64), return_index=True)
        last = len(learnt.get("quantiles", (0.0, 1.0))) - 1
        # equal quantiles are one atom of the distribution: its level is the middle of the run
        ends = np.append(levels[1:], last + 1) - 1
        self._values = values
        self._levels = (levels + ends) / (2 * max(last, 1))

    @classmethod
    def learn(cls, scores: Floats) -> dict[str, list[float]]:
        """The quantiles at evenly spaced levels."""
        if not len(scores):
            return {}
        levels = np.linspace(0, 1, cls.KNOTS)
        return {"quantiles": [float(q) for q in np.quantile(scores.astype(np.float64), levels)]}

    def calibrate(self, scores: Floats) -> Floats:
        """Interpolated between the knots, flat beyond them."""
        levels = np.interp(scores, self._values, self._levels)
        return np.where(np.isnan(scores), np.nan, levels).astype(np.float32)


class Rank(Calibrator):
    """1 for the row's best opinion down towards 0 for its last; equals share their mean."""

    def calibrate(self, scores: Floats) -> Floats:
        """(number below + half of the equals) / number of opinions."""
        out = np.full(scores.shape, np.nan, np.float32)
        for b, row in enumerate(scores):  # ties need a per-row unique; rows are few or short
            known = ~np.isnan(row)
            if known.any():
                _, inverse, counts = np.unique(row[known], return_inverse=True, return_counts=True)
                middle = np.cumsum(counts) - counts / 2
                out[b, known] = (middle / counts.sum())[inverse]
        return out


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
        known = ~np.isnan(scores)
        n = np.maximum(known.sum(axis=1, keepdims=True), 1)
        mean = np.sum(scores, axis=1, where=known, keepdims=True, dtype=np.float64) / n
        centred = np.where(known, scores - mean, 0)
        deviation = np.sqrt(np.sum(centred**2, axis=1, keepdims=True) / n)
        # below this the differences are the rounding of equal scores
        noise = 1e-6 * np.maximum(np.abs(mean), 1e-30)
        scaled = np.where(deviation > noise, centred / np.maximum(deviation, 1e-300), 0)
        return np.where(known, scaled, np.nan).astype(np.float32)
