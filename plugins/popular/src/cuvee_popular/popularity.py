"""The arithmetic of popularity: pure functions from events to one number per item.

Times are float64 seconds, half-lives and windows are in days, counts are float64 sums of event
weights.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["DAY", "count", "decayed", "log_lift", "log_share"]

DAY = 86_400.0
"""Seconds."""

PLACE, ENOUGH, PER_EVENTS = 10, 50.0, 2500.0
"""The item in this place of the list counts so many events at least; in a small product, all / ``PER_EVENTS``."""

Floats: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[Any]

PRIOR = 1.0
"""Weight of the long-run share in events, so that an item whose last event is long ago keeps a finite score,
in the order of its long-run popularity."""


def decayed(weights: npt.NDArray[Any], times: Floats, now: float, half_life: float | None) -> Floats:
    """Weights of events, halved for every ``half_life`` days before ``now``; None leaves them whole."""
    whole = weights.astype(np.float64)
    if half_life is None:
        return whole
    return whole * np.exp2((times - now) / (half_life * DAY))


def count(items: Positions, weights: npt.NDArray[Any], n_items: int) -> Floats:
    """float64[n_items]: the sum of the weights of each item's events."""
    return np.bincount(items, weights, n_items).astype(np.float64, copy=False)


def log_share(recent: Floats, long_run: Floats) -> Floats:
    """float64[n]: the log of each item's share of the decayed events; NaN without any event.

    A Dirichlet posterior mean with the long-run shares as its prior: with no decay it is exactly
    the log of the plain share. The prior weighs :data:`PRIOR`, and more where there are few recent events:
    so much that the item in place :data:`PLACE` counts :data:`ENOUGH`. Otherwise, after a quiet time, the first
    few events would be all that is popular.
    """
    total = long_run.sum()
    if total == 0:
        return np.full(len(long_run), np.nan)
    prior = _prior(recent, long_run, total)
    share = (recent + prior * long_run / total) / (recent.sum() + prior)
    with np.errstate(divide="ignore"):
        return np.where(long_run > 0, np.log(share), np.nan)


def _prior(recent: Floats, long_run: Floats, total: float) -> float:
    """The weight of the long-run shares, in events."""
    last = len(recent) - min(PLACE, int(np.count_nonzero(long_run)))
    enough = min(ENOUGH, total / PER_EVENTS)
    missing = enough - float(np.partition(recent, last)[last])
    if missing <= 0:
        return PRIOR
    return max(PRIOR, missing * total / float(np.partition(long_run, last)[last]))


def log_lift(observed: Floats, expected: Floats, strength: float) -> Floats:
    """The log lift of a count over its expected value, shrunk towards 0.

    The log of a gamma-Poisson posterior mean (DuMouchel 1999, with one gamma of mean 1):
    an item with ``strength`` expected events is shrunk to half.
    """
    return np.log((observed + strength) / (expected + strength))
