"""Exploration: some places of a list go to items of which too little is known to be there by their score.

Nothing here asks a clock or a global generator: what is drawn for a query depends on the query, the
snapshot and the configured seed alone, so the same question in the same snapshot has the same answer,
and the first places of a longer list are those of a shorter one.

``epsilon`` draws evenly. ``thompson`` draws a rate from what is known of each item and takes the
largest (Thompson 1933; Chapelle and Li 2011). Without a log of exposures, an item's *successes* are
the users who like it, and its *trials* the users who did anything since its first event: they could
have met it. The prior is the rate of an average item, as uncertain as one trial's worth of success.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from cuvee.data.dataset import Dataset
from cuvee.kernels.arranging import arrange
from cuvee.ranking.rows import padded
from cuvee.recommender import Bools, Candidates, Ints, Queries, Ragged, Times

__all__ = ["Drawn", "Explorer", "Method", "columns_of", "place"]

DAY = 86_400.0
Method = Literal["epsilon", "thompson"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """For B lists of k places: which places are for exploration, and what may stand there."""

    places: Bools
    """bool[B, k]."""
    items: Ints
    """int32[B, E]: items in the order in which they are to be used, -1 pads."""

    @property
    def candidates(self) -> Candidates:
        """The items as proposals, so that every source is asked for its opinion on them."""
        return Candidates(self.items, np.where(self.items >= 0, np.float32(0), np.float32(np.nan)))


@dataclass(frozen=True)
class Explorer:
    """The items with few events, and how often they get a place."""

    share: float
    """The probability that a place is used for exploration."""
    method: Method
    first: int
    """The first place that may be used for it, counted from 1."""
    seed: int
    snapshot: str
    pool: Ints
    """int32[m]: the items, in order of position."""
    successes: Times
    """float64[m]: the first parameter of each item's beta distribution."""
    failures: Times
    """float64[m]: the second."""

    @classmethod
    def of(
        cls,
        data: Dataset,
        snapshot: str,
        *,
        share: float,
        method: Method = "epsilon",
        first: int = 3,
        seed: int = 0,
        fewer_than: int | None = 20,
        younger_than: float | None = None,
    ) -> Self:
        """Choose the items of a dataset that have fewer events than so many, and are younger than so many days.

        The newest event is today; an item's age is that of its first event, and one without events
        is as young as can be.
        """
        events, n = data.events, data.n_items
        counts = np.bincount(events.items, minlength=n)
        today = float(events.times.max(initial=0.0))
        first_at = np.full(n, today)
        np.minimum.at(first_at, events.items, events.times)
        chosen = np.ones(n, np.bool_)
        if fewer_than is not None:
            chosen &= counts < fewer_than
        if younger_than is not None:
            chosen &= (today - first_at) / DAY < younger_than
        pool = np.flatnonzero(chosen).astype(np.int32)
        liked = np.asarray(data.matrix().sum(axis=0), np.float64).ravel()
        active = np.flatnonzero(events.lengths)
        last = np.sort(events.times[events.offsets[1:][active] - 1])
        trials = np.where(counts > 0, len(last) - np.searchsorted(last, first_at), 0).astype(np.float64)
        rate = min(max(liked.sum() / max(trials.sum(), 1.0), 1e-9), 0.5)
        failures = np.maximum(trials - liked, 0)[pool] + (1 - rate) / rate
        return cls(share, method, first, seed, snapshot, pool, liked[pool] + 1, failures)

    def draw(self, queries: Queries, k: int) -> Drawn:
        """Draw for B queries and lists of k, only from the items that a query's restrictions allow."""
        b = len(queries)
        places = np.zeros((b, k), np.bool_)
        open_to_all = np.ones(len(self.pool), np.bool_)
        if queries.eligible is not None:
            inside = self.pool < len(queries.eligible)
            open_to_all = inside & queries.eligible[np.where(inside, self.pool, 0)]
        picked: list[Ints] = []
        for row in range(b):
            rng = np.random.default_rng(self._seed(queries, row))
            places[row, self.first - 1 :] = rng.random(max(k - self.first + 1, 0)) < self.share
            wanted = int(places[row].sum())
            if not wanted:
                picked.append(self.pool[:0])
                continue
            # a generator of its own, so that a longer list draws the same items
            rng = np.random.default_rng([self._seed(queries, row), 1])
            keys = rng.random(len(self.pool)) if self.method == "epsilon" else rng.beta(self.successes, self.failures)
            keys[~(open_to_all & ~np.isin(self.pool, queries.excluded.row(row)))] = -1
            order = np.argsort(-keys, kind="stable")[: k + wanted]
            picked.append(self.pool[order[keys[order] >= 0]])
        items = np.full((b, max((len(row) for row in picked), default=0)), -1, np.int32)
        for row, chosen in enumerate(picked):
            items[row, : len(chosen)] = chosen
        return Drawn(places, items)

    def _seed(self, queries: Queries, row: int) -> int:
        """64 bits: of the configured seed, the snapshot, and who asks with what history and profile."""
        profile = queries.profiles[row]
        said = [
            self.seed,
            self.snapshot,
            int(queries.users[row]),
            _plain(profile.attributes),
            _plain(profile.interests),
        ]
        digest = hashlib.blake2b(repr(said).encode(), digest_size=8)
        digest.update(queries.histories.row(row).tobytes())
        return int.from_bytes(digest.digest(), "little")


def _plain(values: Mapping[str, object]) -> list[tuple[str, object]]:
    return sorted(values.items(), key=lambda pair: pair[0])


def place(items: Ints, order: Ints, proposed: Bools, drawn: Drawn) -> tuple[Ints, Bools]:
    """Make B lists of up to k of the best items, with drawn ones in the places for exploration.

    An item that stands in its place by its score, before any place for it has come, is no
    exploration. What nobody proposed is shown in a place for exploration or not at all; where the
    proposed ones end, so does the list.

    Args:
        items: int32[B, M], -1 pads.
        order: int[B, M] columns, best first, padding last.
        proposed: bool[B, M]: whether a source proposed the item, or it is there for exploration alone.
        drawn: what was drawn for lists of k.

    Returns:
        int32[B, K] columns of ``items``, -1 behind the end; bool[B, K]: which are exploration.
    """
    able = (proposed & (items >= 0)).astype(np.uint8)
    best = np.asarray(order, np.int32)
    values = np.zeros(items.shape, np.float32)
    turns, columns = drawn.places, columns_of(drawn.items, items)
    placed = arrange(items, values, best, able, turns.shape[1], turns=turns, drawn=columns)
    return placed.columns, placed.explored


def columns_of(wanted: Ints, items: Ints) -> Ints:
    """int32[B, E]: the column of each wanted item, int32[B, E], in its row of items, int32[B, M].

    Those that are there, in their order, and -1 behind them.
    """
    rows = []
    for own, row in zip(wanted, items, strict=True):
        at = {item: column for column, item in enumerate(row.tolist()) if item >= 0}
        rows.append([at[item] for item in own.tolist() if item in at])
    return padded(Ragged.of(rows))
