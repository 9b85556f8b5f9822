"""What a rule is: two methods, asked once for each batch of queries.

:meth:`Rule.restrict` is asked before retrieval. What it withholds no source proposes, no pin, no exploration and
no fallback shows. :meth:`Rule.arrange` is asked when the blend has scored the candidates. It does not move items
itself: it says what it wants (shares to add to scores, items to leave out, pins, limits, spread), and the engine
builds the lists so that the wishes of all rules hold together. A limit so holds for pinned, explored and
fallback items, too, whatever the order of the rules.

``B`` is the number of queries in the batch, ``M`` the number of candidates, ``N`` that of the catalogue's items.
"""

from __future__ import annotations

import enum
from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from cuvee.data.catalog import Catalog
from cuvee.queries import Bools, Floats, Histories, Ints, Queries, Ragged, Times

__all__ = [
    "Arrangement", "Limit", "Lists", "Pins", "Restriction", "Rule", "RuleConfig", "Seen", "SeenType", "Spread",
]  # fmt: skip


T = TypeVar("T", bound=np.generic)


class SeenType(enum.IntEnum):
    """What kind of event an entry of :class:`Seen` is; 1 to 6 are the numbers of the proto's ``EventType``."""

    IMPORTED = 0
    """From the imported data set, or from a plugin's ``load_history``: neither says what kind it was."""
    VIEW = 1
    CLICK = 2
    FAVOURITE = 3
    PURCHASE = 4
    RATING = 5
    DISMISS = 6
    CONTEXT = 7
    """Named in the request itself, as touched just now."""


@dataclass(frozen=True, slots=True)
class Seen(Ragged):
    """B rows: all items that each query's user has an event with, also where recommenders get a shorter history."""

    types: npt.NDArray[np.uint8] | None = None
    """uint8[n], numbers of :class:`SeenType`; None: all are ``IMPORTED``."""
    times: Times | None = None
    """float64[n], seconds since the epoch; None: nobody knows."""

    @classmethod
    def imported(cls, histories: Histories) -> Self:
        """Everything in B users' whole histories, all of it of the imported data set."""
        return cls(histories.offsets, histories.items, None, histories.times)

    def select(self, rows: npt.ArrayLike) -> Self:
        """The given rows, in the given order (repeats allowed)."""
        offsets, entries = self._entries(rows)
        types = None if self.types is None else self.types[entries]
        times = None if self.times is None else self.times[entries]
        return replace(self, offsets=offsets, items=self.items[entries], types=types, times=times)


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a rule withholds from each query, and what it wants to be among the candidates."""

    excluded: Ragged | None = None
    """B rows: the items that must not be shown; None excludes nothing."""
    wanted: Ints | None = None
    """int32[B, E], -1 pads: items that must be scored whether or not a source proposes them. What may not be
    shown stays away all the same, and what no source proposed is only shown where it is pinned."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The candidates of a batch, scored: what :meth:`Rule.arrange` is asked about. Read-only."""

    queries: Queries
    items: Ints
    """int32[B, M], positions in the catalogue; -1 pads."""
    scores: Floats
    """float32[B, M]: the blend's, and what the rules before this one added; NaN on padding."""
    vectors: Callable[[str], Floats | None]
    """The item vectors of a recommender by its name: float32[n, d], rows of length 1, or 0 where nothing is known;
    n may end before the catalogue does. None: it has none, or is not loaded. For the names in the fields that
    ``Config.vectors_from`` names."""

    def of_items(self, values: npt.NDArray[T], missing: T) -> npt.NDArray[T]:
        """[B, M]: a value for each candidate, out of [N] for the catalogue's items; ``missing`` on padding."""
        return np.where(self.items >= 0, values[np.maximum(self.items, 0)], missing)


@dataclass(frozen=True, slots=True)
class Pins:
    """Items that are to stand at given places."""

    places: Ints
    """int32[P], counted from 1 and over all pages."""
    items: Ints
    """int32[B, P], positions, -1 pins nothing. Usually what :attr:`Restriction.wanted` asked for, since what is not
    among the candidates is not pinned."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many items of one group among so many places in a row, wherever these begin."""

    offsets: npt.NDArray[np.int64]
    """int64[N + 1]: the groups of item i are ``groups[offsets[i]:offsets[i + 1]]``, none or several."""
    groups: Ints
    """int32: numbers of groups, from 0."""
    at_most: int
    window: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Takes from an item's score, by how near it is to what stands before it (maximal marginal relevance)."""

    vectors: Floats
    """float32[n, d], C order: rows of length 1, or 0 where nothing is known; items at n and above count as such."""
    strength: float
    """In units of the score: what an item loses that is the same as one before it. In between by the cosine."""
    window: int
    """How many places before it are looked at."""
    among: int
    """Only the so many best that are left compete for a place."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a rule wants of the lists."""

    added: Floats | None = None
    """float32[B, M], finite: what is added to the scores. It is shown beside each item as the rule's share."""
    removed: Bools | None = None
    """bool[B, M]: candidates that must not be shown, neither by the blend nor from the fallback chain."""
    only_scored: bool = False
    """Whether items without a score of the blend (those that fill a short list up) must not be shown."""
    pins: Pins | None = None
    limits: Sequence[Limit] = ()
    """They hold in every window of the whole list, over pages, and before pins: a pin that would break one waits."""
    spread: Spread | None = None
    """The last rule with one decides."""


class RuleConfig(BaseModel):
    """Parent of every rule's ``Config``: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    vectors_from: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that hold the name of a recommender of the product whose item vectors are needed."""


R = TypeVar("R", bound=RuleConfig)


class Rule(ABC, Generic[R]):
    """Says what may be shown, and how it is arranged. Built once per snapshot; called from many threads."""

    Config: ClassVar[type[RuleConfig]] = RuleConfig
    """The keys beside ``use``, ``name`` and ``on`` in the rule's ``[[rules]]`` table."""

    name: str = ""
    """By which answers call it: the table's ``name``. Set by the engine."""
    on: frozenset[str] = frozenset({"recommend", "similar"})
    """Where it holds: ``recommend``, ``similar``, or both. Set by the engine, from the table's ``on``."""
    reads_events: bool = False
    """Whether it reads the types and times of what was seen, which are left out else. Set by the constructor."""
    eligible: Bools | None = None
    """bool[N]: the items that may be shown to anyone; None restricts nothing. Set by the constructor, read once."""

    def __init__(self, config: R, catalog: Catalog) -> None:
        """Raises :class:`cuvee.errors.InvalidArgument` for a configuration that does not fit the catalogue."""
        self.config = config
        self.catalog = catalog

    def restrict(self, queries: Queries, seen: Seen) -> Restriction | None:
        """What each of B queries must not be shown, and what must be scored for it; None: nothing.

        A query's part depends on that query alone, not on the others of its batch.
        """
        return None

    def arrange(self, lists: Lists) -> Arrangement | None:
        """What the rule wants of B lists; None: nothing. A list's part depends on that list alone."""
        return None
