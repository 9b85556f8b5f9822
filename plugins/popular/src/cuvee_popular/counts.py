"""The counts behind popularity: sums over events, to which later events can be added.

Everything here is linear in the events' weights. So the counts of two sets of events add up to those of
their union, and a weight below 0 removes an event again. Where people are counted, an event's weight is what it adds to
its user's votes (``Histories.votes``); who voted before the fit and after it has two votes until the next fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from cuvee import Dataset
from cuvee.recommender import Activity

from cuvee_popular.config import PopularConfig
from cuvee_popular.popularity import DAY, Floats, count, decayed
from cuvee_popular.segments import Segments

__all__ = ["Counts"]

NOTHING = 1e-6
"""Sums below this count as 0: adding and removing events leaves a rounding error."""


@dataclass(frozen=True)
class Counts:
    """Sums of weights over the events up to a time."""

    now: float
    """The time of the last event, whatever its weight; -inf without any."""
    plain: Floats
    """float64[n]: of each item, over all time."""
    recent: Floats
    """float64[n]: the same, halved for every half-life before ``now``."""
    segments: npt.NDArray[np.float32]
    """float32[S, n]: over all time, by segment; row 0 is zero."""
    late_items: npt.NDArray[Any]
    """int32[m]: the items of the events in the window before ``now``; a later ``now`` drops the oldest."""
    late_weights: npt.NDArray[Any]
    """float32[m]."""
    late_times: Floats
    """float64[m], seconds."""

    @classmethod
    def of(cls, data: Dataset, segments: Segments, config: PopularConfig) -> Self:
        """Count a dataset."""
        nothing = cls(
            -np.inf,
            np.zeros(data.n_items),
            np.zeros(data.n_items),
            np.zeros((len(segments), data.n_items), np.float32),
            np.empty(0, np.int32),
            np.empty(0, np.float32),
            np.empty(0),
        )
        events = data.events
        rows = segments.of_users(data.catalog.users)[data.users]
        weights = events.votes() if config.count == "people" else events.weights
        return nothing.plus(events.items, weights, events.times, rows, config)

    def and_since(self, activity: Activity, segments: Segments, config: PopularConfig) -> Self:
        """The counts with all users' later events."""
        rows = segments.of_profiles(activity.profiles)[activity.people]
        weights = activity.votes() if config.count == "people" else activity.weights
        return self.plus(activity.items, weights, activity.times, rows, config)

    def plus(
        self,
        items: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        times: Floats,
        rows: npt.NDArray[np.int64],
        config: PopularConfig,
    ) -> Self:
        """The counts with more events: positions, weights and times[m], and the users' segments, int64[m, C]."""
        n = max(len(self.plain), int(items.max(initial=-1)) + 1)
        now = max(self.now, float(times.max(initial=-np.inf)))
        half_life = config.half_life
        aged = np.exp2((self.now - now) / (half_life * DAY)) if half_life and np.isfinite(self.now) else 1.0
        late_items, late_weights, late_times = (
            np.concatenate(both)
            for both in ((self.late_items, items), (self.late_weights, weights), (self.late_times, times))
        )
        late = late_times > now - config.window * DAY if config.trending else np.zeros(len(late_times), np.bool_)
        return type(self)(
            now,
            _without_rest(_wider(self.plain, n) + count(items, weights, n)),
            np.maximum(_wider(self.recent, n) * aged + count(items, decayed(weights, times, now, half_life), n), 0),
            self._by_segment(items, weights, rows, n),
            late_items[late],
            late_weights[late],
            late_times[late],
        )

    def _by_segment(
        self, items: npt.NDArray[Any], weights: npt.NDArray[Any], rows: npt.NDArray[np.int64], n: int
    ) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = _wider(self.segments, n)
        for column in rows.T:
            told = column > 0  # users without a value in the column do not count
            np.add.at(found, (column[told], items[told]), weights[told])
        return np.maximum(found, 0, out=found)

    @property
    def window(self) -> Floats:
        """float64[n]: of each item, over the window before ``now``."""
        return np.maximum(count(self.late_items, self.late_weights, len(self.plain)), 0)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """To be saved."""
        return {name: np.atleast_1d(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from the result of :meth:`arrays`."""
        return cls(**{**arrays, "now": float(arrays["now"][0])})  # type: ignore[arg-type]


def _wider(counts: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """A copy with zeros for later items."""
    wider = np.zeros((*counts.shape[:-1], n), counts.dtype)
    wider[..., : counts.shape[-1]] = counts
    return wider


def _without_rest(counts: Floats) -> Floats:
    return np.where(counts > NOTHING, counts, 0.0)
