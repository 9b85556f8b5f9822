"""The batch types that recommenders speak: queries, histories, candidates.

Arrays throughout. ``B`` is the number of queries in a batch, ``k`` the number of candidates
asked for, ``N`` the number of items in the catalogue. Items and users are int32 *positions* in
the catalogue, scores are float32, times are float64 seconds since the Unix epoch. Position -1 is
"none" or "unknown". Plugins import these from :mod:`cuvee.recommender`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cuvee import kernels
from cuvee.data.votes import votes

__all__ = [
    "Activity",
    "Bools",
    "Candidates",
    "Floats",
    "Histories",
    "History",
    "Ints",
    "Offsets",
    "Profile",
    "Queries",
    "Ragged",
    "Serves",
    "Times",
]

T = TypeVar("T")

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Offsets: TypeAlias = npt.NDArray[np.int64]
Times: TypeAlias = npt.NDArray[np.float64]


class Serves(enum.Flag):
    """The kinds of queries and items that a recommender has an opinion on."""

    KNOWN_USER = enum.auto()
    """Users with a position in the catalogue."""
    SESSION = enum.auto()
    """Queries with a history (an event of weight above 0), whoever the user is."""
    COLD_USER = enum.auto()
    """Queries without a history, also of a user that the catalogue knows; a profile may be
    declared, or not."""
    COLD_ITEM = enum.auto()
    """Items newer than the model."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's attributes and interests: stored, declared in the request, or both.

    ``attributes`` are columns of the product's users (``{"age": 24.0, "occupation": "artist"}``);
    ``interests`` are liked values of columns of its *items* (``{"genres": ("Film-Noir",)}``).
    Names that the catalogue does not have are no error: recommenders ignore them.
    """

    attributes: Mapping[str, str | float | bool | tuple[str, ...]] = field(default_factory=dict)
    interests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.attributes or self.interests)


@dataclass(frozen=True, slots=True)
class History:
    """One user's events as a plugin of the ``load_history`` hook gives them, oldest first.

    External item ids, with optional ``weights`` (1 by default; 0 is "seen, not liked") and
    ``times`` (seconds since the epoch; the query's own time by default), each as long as the ids.
    """

    item_ids: Sequence[str]
    weights: Sequence[float] | None = None
    times: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """The events of all users since the models were fitted: n events in any order, without user ids.

    Events of items that are not in the catalogue are left out until the item is added.
    """

    items: Ints
    """int32[n], positions; one may be newer than a model."""
    weights: Floats
    """float32[n]: the event's weight for the item. Below 0 it cancels an earlier like of the item, from
    before the fit or among these events; ``times`` is then the time of that earlier event."""
    times: Times
    """float64[n], seconds since the epoch. Where there are many events, those of one hour are merged into one."""
    people: Ints
    """int32[n]: the profile of the event's user, as an index into ``profiles``."""
    profiles: Sequence[Profile]
    """The profiles of those users, each once: attributes that are categories, numbers or flags."""
    users: Ints | None = None
    """int32[n]: a number for each event's user, which says no more than which events are of the same one."""

    def votes(self, most: float = 1.0) -> Floats:
        """float32[n]: what each event adds to a count of people; the weights where users are not told apart."""
        return self.weights if self.users is None else votes(self.users, self.items, self.weights, self.times, most)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Ragged:
    """B rows of different lengths: row b is ``items[offsets[b]:offsets[b + 1]]``."""

    offsets: Offsets
    """int64[B + 1], from 0, never falling."""
    items: Ints
    """int32[offsets[-1]], positions of items."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Offsets:
        """int64[B]."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> Offsets:
        """int64[n]: the row that each entry belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def row(self, b: int) -> Ints:
        """int32[length of row b], a view."""
        return self.items[self.offsets[b] : self.offsets[b + 1]]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | Ints]) -> Ragged:
        """Build from one sequence of positions per row."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(r) for r in rows], out=offsets[1:])
        items = np.concatenate([np.asarray(r, np.int32) for r in rows]) if len(rows) else np.empty(0, np.int32)
        return cls(offsets, items.astype(np.int32, copy=False))

    def _entries(self, rows: npt.ArrayLike) -> tuple[Offsets, Offsets]:
        """Offsets of the picked rows, and where their entries lie in this one."""
        picked = np.asarray(rows, np.int64)
        lengths = self.lengths[picked]
        offsets = np.zeros(len(picked) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        entries = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][picked] - offsets[:-1], lengths)
        return offsets, entries

    def select(self, rows: npt.ArrayLike) -> Self:
        """The given rows, in the given order (repeats allowed)."""
        offsets, entries = self._entries(rows)
        return replace(self, offsets=offsets, items=self.items[entries])


@dataclass(frozen=True, slots=True)
class Histories(Ragged):
    """The events of B users, each row oldest first.

    Items may repeat. Unknown items were dropped at the edge, so every position is valid in the
    catalogue; a position may still be newer than a model.
    """

    weights: Floats
    """float32[n]: how much the event speaks for the item; 0 is "seen, not liked"."""
    times: Times
    """float64[n], seconds since the epoch, never falling within a row."""

    @classmethod
    def build(
        cls,
        rows: Sequence[Sequence[int] | Ints],
        weights: Sequence[Sequence[float]] | None = None,
        times: Sequence[Sequence[float]] | None = None,
    ) -> Histories:
        """Build from one sequence of positions per row; weights default to 1, times to 0, 1, 2, ..."""
        ragged = Ragged.of(rows)
        n = len(ragged.items)
        flat_weights = np.concatenate(weights) if weights and n else np.ones(n)
        flat_times = (
            np.concatenate(times) if times and n else np.arange(n) - np.repeat(ragged.offsets[:-1], ragged.lengths)
        )
        return cls(ragged.offsets, ragged.items, flat_weights.astype(np.float32), flat_times.astype(np.float64))

    def select(self, rows: npt.ArrayLike) -> Self:
        """The given rows, in the given order (repeats allowed)."""
        offsets, entries = self._entries(rows)
        return replace(
            self,
            offsets=offsets,
            items=self.items[entries],
            weights=self.weights[entries],
            times=self.times[entries],
        )

    def votes(self, most: float = 1.0) -> Floats:
        """float32[n]: what each event adds to a count of people, with each row as one person."""
        return votes(self.rows, self.items, self.weights, self.times, most)

    def last(self, n: int) -> Self:
        """Each row's newest ``n`` events, still oldest first."""
        if self.lengths.max(initial=0) <= n:
            return self
        kept = self.ages < n
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.minimum(self.lengths, n), out=offsets[1:])
        return replace(
            self, offsets=offsets, items=self.items[kept], weights=self.weights[kept], times=self.times[kept]
        )

    @property
    def liked(self) -> Offsets:
        """int64[B]: how many events of each row have a weight above 0."""
        return np.bincount(self.rows[self.weights > 0], minlength=len(self)).astype(np.int64, copy=False)

    @property
    def ages(self) -> Offsets:
        """int64[n]: how many later events the same row has (0 for the newest)."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))

    def decayed(self, half_life: float | None) -> Floats:
        """float32[n]: ``weights``, halved for every ``half_life`` later events; None does not decay."""
        if half_life is None:
            return self.weights
        return (self.weights * np.exp2(-self.ages / half_life)).astype(np.float32)

    def matrix(
        self, n_items: int, half_life: float | None = None, known: Bools | None = None, *, shares: bool = False
    ) -> kernels.Matrix:
        """float32[B, n_items], sparse: the decayed weight of each item.

        A repeated item counts by its newest event alone. Items at or above ``n_items`` (newer
        than the model) and events of weight 0 are left out. With ``known``, bool[n_items], events of weight 0 and
        of items that are not known are ignored: they do not age other events either. With ``shares`` the weights of
        a row are scaled to add up to 1.
        """
        return kernels.in_history(self.offsets, self.items, self.weights, n_items, half_life, known, shares=shares)


@dataclass(frozen=True, slots=True)
class Queries:
    """A batch of B queries, each asking for recommendations for one user now. Every array is read-only by contract."""

    users: Ints
    """int32[B]; -1 is a user that the catalogue does not know."""
    histories: Histories
    """B rows: stored events, then those of the request."""
    profiles: Sequence[Profile]
    """B profiles: the stored attributes of the user, those declared in the request over them."""
    now: float
    """Seconds since the epoch: the time of the queries."""
    excluded: Ragged
    """B rows: items that must not be proposed (seen, listed by the caller)."""
    eligible: Bools | None = None
    """bool[N], one for the batch: items that may be proposed; None is all of them."""
    _made: dict[tuple[int, str], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        histories: Histories,
        users: npt.ArrayLike | None = None,
        profiles: Sequence[Profile] | None = None,
        now: float = 0.0,
        excluded: Ragged | None = None,
        eligible: Bools | None = None,
    ) -> Queries:
        """Build a batch; what is not given is unknown, empty or unrestricted."""
        b = len(histories)
        return cls(
            users=np.full(b, -1, np.int32) if users is None else np.asarray(users, np.int32),
            histories=histories,
            profiles=(Profile(),) * b if profiles is None else tuple(profiles),
            now=now,
            excluded=Ragged(np.zeros(b + 1, np.int64), np.empty(0, np.int32)) if excluded is None else excluded,
            eligible=eligible,
        )

    def __len__(self) -> int:
        return len(self.users)

    def once(self, owner: object, name: str, make: Callable[[], T]) -> T:
        """The result of ``make``, computed at the first call and cached for as long as this batch lives.

        A request asks a source first for candidates and then for scores of the same queries. What both need
        (users' vectors, a dense matrix of scores) is computed once. ``owner`` is the recommender, ``name`` the
        name of the cached value.
        """
        key = (id(owner), name)
        if key not in self._made:
            self._made[key] = make()
        kept: T = self._made[key]
        return kept

    def select(self, rows: npt.ArrayLike) -> Queries:
        """The given rows, in the given order."""
        picked = np.asarray(rows, np.int64)
        return Queries(
            users=self.users[picked],
            histories=self.histories.select(picked),
            profiles=tuple(self.profiles[int(i)] for i in picked),
            now=self.now,
            excluded=self.excluded.select(picked),
            eligible=self.eligible,
        )

    def served_by(self, serves: Serves) -> Bools:
        """bool[B]: the rows that a recommender which serves ``serves`` may have an opinion on."""
        has_history = self.once(Queries, "has_history", lambda: self.histories.liked > 0)
        served = np.zeros(len(self), np.bool_)
        if Serves.KNOWN_USER in serves:
            served |= self.users >= 0
        if Serves.SESSION in serves:
            served |= has_history
        if Serves.COLD_USER in serves:
            served |= ~has_history
        return served


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a source proposes: for each query up to k distinct items, best first."""

    items: Ints
    """int32[B, at most k], -1 pads at the end of a row."""
    scores: Floats
    """float32, of the shape of ``items``: finite, never rising within a row; NaN where ``items`` is -1."""

    @classmethod
    def empty(cls, b: int, k: int = 0) -> Candidates:
        """No proposals for any of b queries."""
        return cls(np.full((b, k), -1, np.int32), np.full((b, k), np.nan, np.float32))

    @classmethod
    def top(
        cls,
        scores: Floats,
        k: int,
        queries: Queries,
        rows: npt.ArrayLike | None = None,
        above: float = -np.inf,
    ) -> Candidates:
        """The k best of a dense score matrix, without the items that the queries exclude.

        ``scores`` is float32[B, n], n <= N; NaN, and what is not ``above`` a score (-inf by default), is never
        proposed. Equal scores are ordered by position. With ``rows`` (int[b]) the matrix has only those rows of the
        batch, and the others of the answer stay empty.
        """
        asked = queries if rows is None else queries.select(rows)
        excluded = (asked.excluded.offsets, asked.excluded.items)
        items, values = kernels.top(scores, k, excluded, queries.eligible, above)
        if rows is None:
            return cls(items, values)
        answer = cls.empty(len(queries), items.shape[1])
        answer.items[np.asarray(rows)], answer.scores[np.asarray(rows)] = items, values
        return answer
