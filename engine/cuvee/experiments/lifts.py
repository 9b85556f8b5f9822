"""Metrics of a variant, and by how much one variant's is higher than another's. The unit is the user throughout.

Users are drawn by lot, items and answers are not: so each metric is a ratio of two sums over users, and its variance
is that of a ratio of means by the delta method. Deng, Knoblich and Lu, Applying the Delta Method in Metric Analytics,
KDD 2018, https://arxiv.org/abs/1803.06336.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cuvee.experiments.sequential import always_valid

__all__ = ["ENOUGH", "METRICS", "Figures", "Lift", "Metric", "Rate", "lift_of", "rate_of"]

ENOUGH = 30
"""Users of each variant with something to count, below which no lift is told: too few for a normal approximation."""
Z = 1.959964
"""The standard normal quantile of a two-sided 95 % interval."""

Figures = Mapping[str, npt.NDArray[np.float64]]
"""float64[n] by name, one number for each user of a variant: shown, clicked, bought, events, value, one, buyer."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of two sums over users."""

    name: str
    title: str
    of: str
    per: str
    percent: bool
    says: str


METRICS = {
    one.name: one
    for one in (
        Metric("click_through", "click-through", "clicked", "shown", percent=True,
               says="items with an event beyond a view, of all that were shown"),
        Metric("conversion", "conversion", "buyer", "one", percent=True,
               says="users with a purchase, of all users"),
        Metric("events", "events per user", "events", "one", percent=False,
               says="clicks, favourites, purchases and ratings per user"),
        Metric("value", "value per user", "value", "one", percent=False,
               says="the values of purchases per user: pieces, unless your events say otherwise"),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """A metric of one variant, with its 95 % interval."""

    value: float
    variance: float
    users: int
    """Those with something to count."""

    @property
    def interval(self) -> tuple[float, float]:
        """Not below 0."""
        half = Z * math.sqrt(self.variance)
        return max(0.0, self.value - half), self.value + half


def rate_of(metric: Metric, figures: Figures) -> Rate:
    """A variant's value of a metric; NaN where nobody was shown anything."""
    above, below = figures[metric.of], figures[metric.per]
    n = len(above)
    if n < 2 or below.sum() <= 0:
        return Rate(math.nan, math.nan, int((above > 0).sum()))
    value = float(above.sum() / below.sum())
    rest = above - value * below
    variance = float(rest.var(ddof=1) / (n * below.mean() ** 2))
    return Rate(value, variance, int((above > 0).sum()))


@dataclass(frozen=True, slots=True)
class Lift:
    """By how much a metric of one variant is higher than the first variant's: 0.1 is 10 %."""

    lift: float
    low: float
    high: float
    """The 95 % interval of one look, planned beforehand."""
    always_low: float
    always_high: float
    """The interval that holds at every look."""
    p: float
    """The always-valid p-value."""
    variance: float
    """Of the logarithm of the ratio."""


def lift_of(variant: Rate, control: Rate, alpha: float) -> Lift | None:
    """The lift, ``alpha`` being the level of the interval for every look; None where there is too little."""
    if min(variant.users, control.users) < ENOUGH or not (variant.value > 0 and control.value > 0):
        return None
    log = math.log(variant.value / control.value)
    variance = variant.variance / variant.value**2 + control.variance / control.value**2
    half = Z * math.sqrt(variance)
    always_low, always_high, p = always_valid(log, variance, alpha)
    low, high, always_low, always_high = (math.expm1(one) for one in (log - half, log + half, always_low, always_high))
    return Lift(math.expm1(log), low, high, always_low, always_high, p, variance)
