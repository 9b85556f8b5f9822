"""Bootstrap over users: confidence intervals of a mean, and of the difference of two.

The users of a test are a sample of those that the product will have. Resampling them with replacement,
many times, gives the spread that a mean has by chance. Two lists for the same users are compared user by
user (paired): the difficulty of a user is then the same on both sides, and the interval is far narrower
than two intervals side by side suggest.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile intervals);
Sakai, "Evaluating evaluation metrics based on the bootstrap", SIGIR 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "PairedDifference", "mean_interval", "mean_intervals", "paired_bootstrap", "paired_bootstraps"]

PerUser = npt.NDArray[np.float64]
CHUNK = 1 << 21
"""Limit of drawn users in memory at a time (16 MiB of indices), whatever the number of resamples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users and its percentile interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much better the first of two is than the second, over the same users."""

    n_users: int
    first: float
    """Mean of the first."""
    second: float
    difference: Interval
    """first - second."""
    uplift: Interval
    """first / second - 1; infinite or NaN where the second is 0."""
    share_above: float
    """The share of resamples with a difference above 0."""
    level: float
    """Confidence level of the intervals: 0.95 leaves out 2.5 % of the resamples at each end."""
    resamples: int


def mean_interval(values: PerUser, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of float64[U] and its interval, which is NaN for a single user; NaN everywhere for none."""
    return mean_intervals(np.asarray(values, np.float64)[:, None], level=level, resamples=resamples, seed=seed)[0]


def mean_intervals(
    values: PerUser, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Interval, ...]:
    """The mean and interval of each column of float64[U, m], all over the same resamples."""
    if not len(values):
        return tuple(Interval(np.nan, np.nan, np.nan) for _ in range(values.shape[1]))
    if len(values) == 1:  # resamples of a single value are all equal, which would look like certainty
        return tuple(Interval(float(value), np.nan, np.nan) for value in values[0])
    means = _resampled_means(values, resamples, seed)
    return tuple(_interval(float(column.mean()), drawn, level) for column, drawn in zip(values.T, means.T, strict=True))


def paired_bootstrap(
    first: PerUser, second: PerUser, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Compare two float64[U] arrays of the same users, in the same order.

    Raises:
        ValueError: the arrays differ in length, or are empty.
    """
    return paired_bootstraps(first, [second], level=level, resamples=resamples, seed=seed)[0]


def paired_bootstraps(
    first: PerUser, others: Sequence[PerUser], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[PairedDifference, ...]:
    """Compare one float64[U] array with each of several others of the same users, over the same resamples.

    For a single user the intervals and the share of resamples are NaN.

    Raises:
        ValueError: the arrays differ in length, or are empty.
    """
    for second in others:
        if first.shape != second.shape or first.ndim != 1 or not len(first):
            raise ValueError(
                f"a paired comparison needs two arrays of the same users, got {first.shape} and {second.shape}"
            )
    # the differences are resampled: equal values then differ by exactly 0, without rounding errors
    differences = [first - second for second in others]
    values = np.stack([first, *others, *differences], axis=1).astype(np.float64)
    means = _resampled_means(values, resamples, seed)
    if len(first) == 1:
        means[:] = np.nan
    mean, m = values.mean(axis=0), len(others)
    found = []
    for at in range(1, m + 1):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            uplifts = means[:, 0] / means[:, at] - 1
            uplift = float(mean[0] / mean[at] - 1)
        found.append(
            PairedDifference(
                n_users=len(first),
                first=float(mean[0]),
                second=float(mean[at]),
                difference=_interval(float(mean[m + at]), means[:, m + at], level),
                uplift=_interval(uplift, uplifts, level),
                share_above=float((means[:, m + at] > 0).mean()) if len(first) > 1 else math.nan,
                level=level,
                resamples=resamples,
            )
        )
    return tuple(found)


def _resampled_means(values: PerUser, resamples: int, seed: int) -> PerUser:
    """float64[resamples, m]: the mean of each column over U rows drawn with replacement."""
    n, drawn = len(values), np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, CHUNK // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        # a mean only needs how often each user is drawn, so it becomes a matrix product
        picks = drawn.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n)
        means[start : start + rows] = counts @ values / n
    return means


def _interval(mean: float, resampled: PerUser, level: float) -> Interval:
    """The percentile interval of the resampled statistics; NaN where not all of them are finite."""
    if not np.isfinite(resampled).all():
        return Interval(mean, np.nan, np.nan)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
