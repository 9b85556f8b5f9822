"""The ``popular`` recommender: log share of the events, plus log lifts of trend and segments.

For item i and a user of segments s (one per column of the users)::

    score = log share(i) + trending * log lift(recent window, i) + segment_weight * sum_s log lift(s, i)

which is naive Bayes for an item given the user's segments, with every factor shrunk
towards the global one. Each term is a table looked up by position, so scoring is a few gathers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Catalog, Dataset, Ragged, kernels, load_arrays, save_arrays
from cuvee.recommender import Activity, Progress, Queries, Recommender, Serves

from cuvee_popular.config import PopularConfig
from cuvee_popular.counts import Counts
from cuvee_popular.order import Order
from cuvee_popular.popularity import log_lift, log_share
from cuvee_popular.segments import Segments

__all__ = ["Popular"]

LARGE = 20_000
"""Up to this many items all are scored at once; beyond, a walk down the order is cheaper."""
BLOCK = 256
"""How many rows are processed together."""
WALK = 4_096
"""How many items are scored first; more than are needed for usual popularity curves."""
NOTABLE = np.log(1.1)
"""The lift from which a segment or a trend is named as the reason."""

ARRAYS = {
    "share": "float32[n] known",
    "trend": "float32[t]",
    "lifts": "float32[S, n]",
    "items": "int32[known] in n",
    "scores": "float32[known] finite",
    "most": "float32[S] finite",
    "now": "float64[1]",
    "plain": "float64[n] finite",
    "recent": "float64[n] finite",
    "segments": "float32[S, n] finite",
    "late_items": "int32[late] in n",
    "late_weights": "float32[late] finite",
    "late_times": "float64[late] finite",
}
"""What ``save`` writes: the tables, the order, and the counts."""


@dataclass(frozen=True)
class Popular(Recommender[PopularConfig]):
    """Popularity with time decay, trend, and segments of users."""

    Config = PopularConfig
    serves = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER

    config: PopularConfig
    segments: Segments
    fitted: Counts
    """The counts of the fit's events."""
    share: npt.NDArray[np.float32]
    """float32[n]: log share of each item; NaN without events of weight above 0."""
    trend: npt.NDArray[np.float32]
    """float32[n], or empty where the config leaves the trend out: the weighted log lift."""
    lifts: npt.NDArray[np.float32]
    """float32[S, n]: the weighted log lift of each item in each segment; row 0 is zero."""
    order: Order
    """The items sorted by the part of the score that is the same for all users."""

    @classmethod
    def fit(cls, data: Dataset, config: PopularConfig, progress: Progress) -> Self:
        """Count. The present is the time of the last event, whatever its weight."""
        segments = Segments.of(data.catalog.users, config.segments, config.edges)
        counts = Counts.of(data, segments, config)
        progress(1, 2, f"counted, {len(segments) - 1} segments")
        made = cls(config, segments, counts, *_tables(counts, segments, config))
        progress(2, 2)
        return made

    def save(self, directory: Path) -> None:
        """Write the tables and the counts behind them, an array each, and ``segments.json``."""
        tables = {"share": self.share, "trend": self.trend, "lifts": self.lifts, **self.order.arrays()}
        save_arrays(directory, {**tables, **self.fitted.arrays()})
        (directory / "segments.json").write_text(json.dumps(self.segments.to_json(), indent=1))

    @classmethod
    def load(cls, directory: Path, config: PopularConfig, catalog: Catalog) -> Self:
        """Read what :meth:`save` wrote; weights and segments are those of the fit."""
        del catalog  # items newer than the model have no events in the counts
        segments = Segments.from_json(json.loads((directory / "segments.json").read_text()))
        arrays = load_arrays(directory, ARRAYS, S=len(segments))
        order = Order.from_arrays({field.name: arrays[field.name] for field in fields(Order)})
        fitted = Counts.from_arrays({field.name: arrays[field.name] for field in fields(Counts)})
        return cls(config, segments, fitted, arrays["share"], arrays["trend"], arrays["lifts"], order)

    def updated(self, activity: Activity) -> Self:
        """The result of a fit on all events: the present is the last event, and new items have shares, too."""
        counts = self.fitted.and_since(activity, self.segments, self.config)
        share, trend, lifts, order = _tables(counts, self.segments, self.config)
        return replace(self, share=share, trend=trend, lifts=lifts, order=order)

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """The k most popular for each user's segments.

        Walks down the items by the common part of the score, as long as segments could still lift one into
        the list.
        """
        k = min(k, len(self.share))
        if len(self.share) <= LARGE:
            return Candidates.top(self._everything(queries), k, queries)
        blocks = []
        for start in range(0, len(queries), BLOCK):
            asked = queries.select(np.arange(start, min(start + BLOCK, len(queries))))
            blocks.append(self._walked(asked, k))
        if not blocks:
            return Candidates.empty(0, k)
        return Candidates(np.concatenate([b.items for b in blocks]), np.concatenate([b.scores for b in blocks]))

    def _walked(self, queries: Queries, k: int) -> Candidates:
        """The k best of a batch, as :meth:`cuvee.Candidates.top` would have them of all scores."""
        rows = self._segments_of(queries)
        lifted = self.order.most[rows].sum(axis=1)
        free = replace(queries, excluded=Ragged.of([()] * len(queries)), eligible=None)
        # excluded items take up places, too
        length = max(WALK, 2 * (k + int(queries.excluded.lengths.max(initial=0))))
        while True:
            items, left = self.order.first(length, queries.eligible)
            scores = self._at(queries, np.broadcast_to(items, (len(queries), len(items))))
            _forbid(scores, items, queries.excluded)
            found = Candidates.top(scores, k, free)
            listed = Candidates(np.where(found.items >= 0, items[found.items], np.int32(-1)), found.scores)
            full = listed.scores.shape[1] == k and (listed.scores[:, -1] > left + lifted).all() if k else True
            if full or left == -np.inf:
                return _padded(listed, k)
            length *= 4

    def score(self, queries: Queries, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """float32[B, M]: log probabilities, up to a constant of the segments."""
        if len(self.share) <= LARGE:
            return kernels.take(self._everything(queries), items)
        return self._at(queries, items)

    def _everything(self, queries: Queries) -> npt.NDArray[np.float32]:
        """float32[B, n]: the scores of all items, made once for a batch."""
        return queries.once(self, "scores", lambda: self._scored(queries))

    def _scored(self, queries: Queries) -> npt.NDArray[np.float32]:
        return kernels.with_chosen(self._alone, self.lifts, self._segments_of(queries))

    @cached_property
    def _alone(self) -> npt.NDArray[np.float32]:
        """float32[n]: share and trend, the same for all users."""
        return self.share + self.trend if len(self.trend) else self.share

    def _segments_of(self, queries: Queries) -> npt.NDArray[np.int64]:
        """int64[B, C]: the users' segments, one per column of the users."""
        return queries.once(self, "segments", lambda: self.segments.of_profiles(queries.profiles))

    def _at(self, queries: Queries, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """float32[B, M]: the scores of given items, where the catalogue is large."""
        known = (items >= 0) & (items < len(self.share))
        if not known.any():
            return np.full(items.shape, np.nan, np.float32)
        at = np.where(known, items, 0)
        scores = np.where(known, self.share[at], np.float32(np.nan))
        if len(self.trend):
            scores += self.trend[at]
        for rows in self._segments_of(queries).T:
            if rows.any():
                scores += self.lifts[rows[:, None], at]
        return scores

    def explain(
        self, queries: Queries, rows: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> Sequence[str | None]:
        """Say "popular with artists aged 25-34", "rising", or "popular now"."""
        segments = self._segments_of(queries)
        return [self._reason(segments[b], item) for b, item in zip(rows.tolist(), items.tolist(), strict=True)]

    def _reason(self, rows: npt.NDArray[np.int64], item: int) -> str | None:
        """The reason for one item and a user of the given segments, int64[C]."""
        if not 0 <= item < len(self.share) or np.isnan(self.share[item]):
            return None
        lifts = self.lifts[rows, item]
        trend = float(self.trend[item]) if len(self.trend) else 0.0
        if trend > max(NOTABLE, float(lifts.sum())):
            return "rising"
        liked_by = [
            (column.name, column.labels[row - start])
            for column, row, start, lift in zip(self.segments.columns, rows, self.segments.starts, lifts, strict=True)
            if lift > NOTABLE
        ]
        if liked_by:
            return f"popular with {self.config.describe(liked_by)}"
        return "popular now" if self.config.half_life else "popular"


def _tables(
    counts: Counts, segments: Segments, config: PopularConfig
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32], Order]:
    """Share, trend and lifts, and the items sorted by the first two."""
    trend = np.empty(0)
    if config.trending:
        window = counts.window
        expected = counts.plain * (window.sum() / max(counts.plain.sum(), 1e-12))
        trend = config.trending * log_lift(window, expected, config.smoothing)
    share = log_share(counts.recent, counts.plain).astype(np.float32)
    rising = trend.astype(np.float32)
    lifts = _segment_lifts(counts.segments, segments, config)
    return share, rising, lifts, Order.of(share + rising if len(rising) else share, lifts)


def _forbid(scores: npt.NDArray[np.float32], items: npt.NDArray[np.int32], excluded: Ragged) -> None:
    """Set each row's excluded items to -inf in float32[B, m], the scores of rising items int32[m]."""
    if not len(items):
        return
    at = np.minimum(np.searchsorted(items, excluded.items), len(items) - 1)
    there = items[at] == excluded.items
    scores[excluded.rows[there], at[there]] = -np.inf


def _padded(listed: Candidates, k: int) -> Candidates:
    """With -1 and NaN up to k columns."""
    b, m = listed.items.shape
    if m == k:
        return listed
    padded = Candidates.empty(b, k)
    padded.items[:, :m], padded.scores[:, :m] = listed.items, listed.scores
    return padded


def _segment_lifts(counted: npt.NDArray[Any], segments: Segments, config: PopularConfig) -> npt.NDArray[np.float32]:
    """float32[S, n]: the log lift of an item in a segment over the number expected from the segment's activity.

    Counted over all time, since the kind of users who like an item changes more slowly than their number.
    """
    lifts = np.zeros(counted.shape, np.float32)
    for column, start in zip(segments.columns, segments.starts, strict=True):
        those = slice(start, start + len(column.labels))
        observed = counted[those].astype(np.float64)
        activity = observed.sum(axis=1, keepdims=True) / max(observed.sum(), 1e-12)
        lift = log_lift(observed, observed.sum(axis=0) * activity, config.smoothing)
        lifts[those] = config.segment_weight * lift
    return lifts
