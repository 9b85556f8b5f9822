"""Evaluations: the figures of every row, with intervals, and what was compared."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cuvee.evaluation import beyond_accuracy as beyond
from cuvee.evaluation import metrics
from cuvee.evaluation.bootstrap import Interval, PairedDifference, mean_intervals
from cuvee.evaluation.listing import Lists
from cuvee.evaluation.trials import Round
from cuvee.recommender import Offsets

__all__ = [
    "METRICS",
    "Comparison",
    "Evaluation",
    "Facts",
    "Figures",
    "Kind",
    "Measured",
    "Metric",
    "RoundFigures",
    "Row",
    "Segment",
    "figures_of",
    "measure",
]

PerUser = npt.NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Metric:
    """The name of a metric, and its meaning."""

    name: str
    label: str
    """Short, for the head of a column; ``{k}`` is the length of the lists."""
    says: str
    best: int = 1
    """1: higher is better, -1: lower is better, 0: neither."""
    of_user: bool = True
    """Whether every user has a value, so that the mean has an interval."""


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric("ndcg", "NDCG@{k}", "right items near the top, 1 for an ideal list"),
        Metric("hit_rate", "HR@{k}", "users with a right item in the list"),
        Metric("recall", "Recall@{k}", "right items found, of all there are"),
        Metric("precision", "P@{k}", "right items, of the list's places"),
        Metric("mrr", "MRR@{k}", "1 / place of the first right item"),
        Metric("map", "MAP@{k}", "mean precision at the right items' places"),
        Metric("coverage", "coverage", "items of the catalogue in anyone's list", of_user=False),
        Metric("novelty", "novelty", "mean self-information of the items in bits: rarer is more", 0),
        Metric("diversity", "diversity", "1 - mean likeness of a list's items to each other", 0),
        Metric("popularity", "popularity", "mean popularity percentile: 1 the most popular, 0.5 no bias", 0),
        Metric("gini", "Gini", "how unevenly items are shown: 0 evenly, 1 always the same", -1, of_user=False),
        Metric("fallback", "fallback", "places filled by the fallback chain", -1),
        Metric("empty", "empty", "users with an empty list", -1),
    )
}
ACCURACY = ("ndcg", "hit_rate", "recall", "precision", "mrr", "map")


class Kind(enum.StrEnum):
    """What a row is."""

    MEMBER = "member"
    """A recommender alone, with the product's rules and without fallback."""
    BASELINE = "baseline"
    BLEND = "blend"
    """The product as it serves."""
    WITHOUT = "without"
    """The product without one source, in its fallback chain too; the other weights are renormalised."""


@dataclass(frozen=True)
class Facts:
    """What the metrics beyond accuracy need of the training data."""

    n_items: int
    n_users: int
    counts: Offsets
    """int64[n_items]: users who like each item."""
    traits: beyond.ItemTraits | None


@dataclass(frozen=True)
class Measured:
    """A row's figures for every user of a round: float64[B] each, NaN where there is none."""

    per_user: Mapping[str, PerUser]
    overall: Mapping[str, float]

    @property
    def ndcg(self) -> PerUser:
        """float64[B]."""
        return self.per_user["ndcg"]


@dataclass(frozen=True)
class Figures:
    """Means over users."""

    n_users: int
    means: Mapping[str, Interval]
    """By name in :data:`METRICS`; the interval is NaN where the metric is of all lists together."""


@dataclass(frozen=True)
class Row:
    """One way to make lists."""

    name: str
    kind: Kind
    source: str
    """The member that makes the lists alone, or that is left out; empty for other rows."""
    figures: Figures
    segments: Mapping[str, Figures]
    """By segment of history length; only accuracy metrics."""
    seconds: float
    """To list everyone."""


@dataclass(frozen=True)
class Segment:
    """A segment of users by their number of liked events."""

    name: str
    least: int
    most: int | None
    """None: no bound."""
    n_users: int

    @property
    def events(self) -> str:
        """``0``, ``1-2``, ``10+``."""
        if self.most is None:
            return f"{self.least}+"
        return f"{self.least}" if self.least == self.most else f"{self.least}-{self.most}"


@dataclass(frozen=True)
class Comparison:
    """Two rows on the same users: a paired bootstrap."""

    first: str
    second: str
    metric: str
    segment: str
    """Empty for all users."""
    found: PairedDifference


@dataclass(frozen=True)
class RoundFigures:
    """The result of one round."""

    name: str
    k: int
    primary: str
    """The name of the metric by which rows are compared."""
    n_users: int
    rows: Sequence[Row]
    segments: Sequence[Segment]
    best_member: str
    comparisons: Sequence[Comparison]
    """The blend against every other row, and against the best member of each segment."""

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(r for r in self.rows if r.name == name)

    def against(self, name: str, segment: str = "") -> Comparison | None:
        """The blend against a row, if it was compared."""
        return next((c for c in self.comparisons if (c.second, c.segment) == (name, segment)), None)


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation, and its data."""

    product: str
    protocol: str
    seed: int
    n_users: int
    n_known: int
    """Users that could be evaluated: more than ``n_users`` where a sample was taken."""
    n_items: int
    n_train: int
    """Number of training events."""
    rounds: Sequence[RoundFigures]
    comparisons: Sequence[Comparison]
    """Between rounds."""
    notes: Sequence[str]
    diversity_on: Sequence[str]
    """The columns that diversity is computed from; empty where the catalogue has none."""
    seen_filtered: bool
    ideal_over_all: bool
    reused: Mapping[str, bool] = field(default_factory=dict)
    """Recommender -> whether its fit was kept from before."""


def measure(lists: Lists, asked: Round, facts: Facts, *, ideal_over_all: bool) -> Measured:
    """Every metric of int32[B, K] lists against the held-out items."""
    items, k, n = lists.items, asked.k, asked.held_out.lengths
    found = metrics.hits(items, asked.held_out)
    shown = (items >= 0).sum(axis=1)
    per_user = {
        "ndcg": metrics.ndcg(found, k, n, ideal_over_all=ideal_over_all),
        "hit_rate": metrics.hit_rate(found, k),
        "recall": metrics.recall(found, k, n),
        "precision": metrics.precision(found, k),
        "mrr": metrics.reciprocal_rank(found, k),
        "map": metrics.average_precision(found, k, n),
        "novelty": beyond.novelty(items, facts.counts, facts.n_users),
        "popularity": beyond.popularity(items, facts.counts),
        "fallback": lists.filled.sum(axis=1) / np.maximum(shown, 1),
        "empty": (shown == 0).astype(np.float64),
    }
    if facts.traits is not None:
        per_user["diversity"] = beyond.intra_list_diversity(items, facts.traits)
    overall = {
        "coverage": beyond.coverage(items, facts.n_items),
        "gini": beyond.exposure_gini(items, facts.n_items),
    }
    return Measured(per_user, overall)


def figures_of(measured: Sequence[Measured], seed: int, rows: Offsets | None = None) -> list[Figures]:
    """Means and intervals of several rows, over the same resamples of the same users.

    With ``rows`` (int64[b]) only of those users, and only accuracy metrics: those of all lists together mean
    little for a few users.
    """
    names = [n for n in METRICS if n in measured[0].per_user and (rows is None or n in ACCURACY)]
    columns = [m.per_user[n] if rows is None else m.per_user[n][rows] for m in measured for n in names]
    found = iter(_intervals(columns, seed))
    out = []
    for one in measured:
        means = {n: next(found) for n in names}
        if rows is None:
            means |= {n: Interval(v, math.nan, math.nan) for n, v in one.overall.items()}
        out.append(Figures(len(columns[0]), {n: means[n] for n in METRICS if n in means}))
    return out


def _intervals(columns: Sequence[PerUser], seed: int) -> list[Interval]:
    """The mean and interval of each column, over the users with a value; complete columns share resamples."""
    whole = [at for at, column in enumerate(columns) if not np.isnan(column).any()]
    found: dict[int, Interval] = {}
    if whole:
        together = np.stack([columns[at] for at in whole], axis=1)
        found = dict(zip(whole, mean_intervals(together, resamples=RESAMPLES, seed=seed), strict=True))
    for at, column in enumerate(columns):
        if at not in found:
            known = column[~np.isnan(column)][:, None]
            found[at] = mean_intervals(known, resamples=RESAMPLES, seed=seed)[0]
    return [found[at] for at in range(len(columns))]
