"""A plan: one product's configuration, made ready to run over one catalogue and its models.

And a question: a batch of queries with what the pipeline must know beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.errors import DegradedReason
from cuvee.ranking.blend import Blender, Opinions
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.explore import Explorer
from cuvee.ranking.facts import ItemFacts
from cuvee.recommender import Bools, Floats, Ints, Offsets, Queries, Recommender
from cuvee.rules import Rule, Seen

__all__ = ["EVERYWHERE", "SIMILAR", "Passage", "Plan", "Question", "Source"]

SIMILAR = "similar"
"""The segment of questions for what goes with an item: its table of weights, and the rules that hold ``on`` it."""
EVERYWHERE = frozenset({"recommend", SIMILAR})
LATE = 10_000
"""Events from which on a segment is not expected to begin."""

Passage: TypeAlias = Literal["smooth", "hard"]
"""How weights change as a history grows from one segment into the next: gradually, or at once."""


@dataclass(frozen=True)
class Source:
    """A recommender's part in a product."""

    name: str
    recommender: Recommender[Any] | None
    """None where its artefact could not be loaded: it counts as degraded in every answer."""
    candidates: int
    """How many candidates it proposes per query."""
    timeout: float | None
    """Seconds for each of its two calls; None: whatever is left of the caller's deadline."""
    model_version: str

    @property
    def version(self) -> str:
        """What answers: the served model's own version, else the artefact's."""
        own = self.recommender.model_version if self.recommender else ""
        return own or self.model_version


@dataclass(frozen=True)
class Plan:
    """Everything that making a list for a product takes. Immutable: a reload makes another one."""

    product: str
    catalog: Catalog
    sources: Sequence[Source]
    calibrators: Mapping[str, Calibrator]
    """By source name."""
    blender: Blender
    segments: Sequence[tuple[str, int]]
    """(name, least number of events), rising from 0."""
    weights: Mapping[str, Mapping[str, float]]
    """Segment name -> source name -> weight; a segment without a table weighs all sources equally."""
    rules: Sequence[Rule[Any]]
    eligible: Bools | None
    """bool[N]: which items may be shown to anyone, by the rules that hold everywhere; None is all."""
    fallback: Sequence[Source]
    """The recommenders that fill up lists for which the blend has too few items, in this order."""
    max_candidates: int
    """Cap of the union, per query."""

    passage: Passage = "smooth"
    explorer: Explorer | None = None
    """Draws items of which little is known, for Recommend; None explores nothing."""
    facts: ItemFacts | None = None
    """The facts of the catalogue's items; without them all items count as the same."""
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    """By recommender, the item vectors that rules ask for: float32[n, d], rows of length 1 or 0."""
    last_resort: bool = True
    """Whether lists that are short after the chain are filled from the catalogue itself."""

    def without_filling(self) -> Plan:
        """The same without the fallback chain and the last resort: lists are as long as the blend makes them."""
        return replace(self, fallback=(), last_resort=False)

    def rules_on(self, segment: str | None) -> Sequence[Rule[Any]]:
        """The rules that hold for questions of a segment."""
        place = SIMILAR if segment == SIMILAR else "recommend"
        return [rule for rule in self.rules if place in rule.on]

    @cached_property
    def _arranging(self) -> Mapping[str, Sequence[tuple[int, Rule[Any]]]]:
        wishing = [(at, rule) for at, rule in enumerate(self.rules) if type(rule).arrange is not Rule.arrange]
        return {place: [(at, rule) for at, rule in wishing if place in rule.on] for place in EVERYWHERE}

    def arranging(self, segment: str | None) -> Sequence[tuple[int, Rule[Any]]]:
        """Those of them that arrange lists, each with its index in ``rules``."""
        return self._arranging[SIMILAR if segment == SIMILAR else "recommend"]

    def filler(self, level: int) -> Source | None:
        """The recommender at a level of the fallback, counted from 1; None is the last resort, behind the chain."""
        return self.fallback[level - 1] if level <= len(self.fallback) else None

    def segment_of(self, events: Offsets) -> Ints:
        """int32[B]: the index of each query's segment, by how many liked events its history has."""
        least = np.array([n for _, n in self.segments])
        return (np.searchsorted(least, events, side="right") - 1).astype(np.int32)

    def segment_shares(self, events: Offsets) -> Floats:
        """float32[S, B]: how far each query belongs to each segment; columns add up to 1.

        Under ``smooth``, a query stands between the beginning of its own segment and that of the
        next, in proportion to log(1 + events): at the beginning of a segment it belongs to that
        alone, so without any event to the first, and from the last one's on to the last.
        """
        own = self.segment_of(events)
        shares = np.zeros((len(self.segments), len(own)), np.float32)
        columns = np.arange(len(own))
        if self.passage == "hard":
            shares[own, columns] = 1
            return shares
        anchors = np.log1p([n for _, n in self.segments])
        following = np.minimum(own + 1, len(anchors) - 1)
        gap = anchors[following] - anchors[own]
        passed = np.where(gap > 0, (np.log1p(events) - anchors[own]) / np.where(gap > 0, gap, 1), 0)
        shares[following, columns] = passed
        shares[own, columns] = 1 - shares[following, columns]
        return shares

    def weights_of(self, segment: str) -> Floats:
        """float32[p]: the sources' weights in a segment, adding up to 1."""
        table = self.weights.get(segment)
        if table is None:
            return np.full(len(self.sources), 1 / max(len(self.sources), 1), np.float32)
        given = np.array([table.get(s.name, 0.0) for s in self.sources], np.float64)
        return np.asarray(given / max(given.sum(), 1e-300), np.float32)

    def mixed_weights(self, events: Offsets, segment: str | None = None) -> Floats:
        """float32[p, B]: each query's configured weights, by how many liked events its history has.

        With the name of a ``segment`` that has a table of its own, that table for every query.
        """
        if segment is not None and segment in self.weights:
            return np.repeat(self.weights_of(segment)[:, None], len(events), axis=1)
        few = self._first_weights
        if few is not None:
            found: Floats = few[:, np.minimum(events, few.shape[1] - 1)]
            return found
        return self._mixed(events)

    def _mixed(self, events: Offsets) -> Floats:
        # not a matrix product: its rounding would depend on the batch
        mixed: Floats = (self.table[:, :, None] * self.segment_shares(events)).sum(axis=1)
        return mixed

    @cached_property
    def _first_weights(self) -> Floats | None:
        """float32[p, n]: the weights after 0, 1, 2, ... events; from the last on they do not change.

        None where the last segment begins so late that this would be a large table.
        """
        last = self.segments[-1][1] if self.segments else 0
        return self._mixed(np.arange(last + 1)) if last < LATE else None

    def opinions(
        self, calibrated: Floats, weights: Floats, items: Ints, ranks: Ints, *, with_facts: bool = True
    ) -> Opinions:
        """What is said and known of items: float32[p, B, M], float32[p, B], int32[B, M], int32[p, B, M].

        Without ``with_facts`` items are all alike, for a blender that does not read what is known of them.
        """
        present = items >= 0
        names = [s.name for s in self.sources]
        if not with_facts:
            alike = np.broadcast_to(np.float32(0), items.shape)
            touched = np.broadcast_to(np.False_, items.shape)
            return Opinions(names, calibrated, weights, present, ranks, alike, alike, touched)
        known = self.facts or ItemFacts.unknown(len(self.catalog.items))
        inside = present & (items < len(known.age))
        at = np.where(inside, items, 0)
        popularity, age = (np.where(inside, fact[at], np.float32(0)) for fact in (known.popularity, known.age))
        untouched = present & (~inside | known.untouched[at])
        return Opinions(names, calibrated, weights, present, ranks, popularity, age, untouched)

    @cached_property
    def table(self) -> Floats:
        """float32[p, S]: the weights of every segment, each column adding up to 1.

        A query's weights are this times its shares of the segments.
        """
        return np.stack([self.weights_of(name) for name, _ in self.segments], axis=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A batch of queries and what is wanted for them."""

    queries: Queries
    """``excluded`` and ``eligible`` hold what the caller asked for; the plan's rules add theirs."""
    seen: Seen
    """B rows: every item that the user has an event with."""
    k: int
    """Length of the list."""
    segment: str | None = None
    """Use this table of weights where the plan has one, whatever the history's length."""
    listed: Ints | None = None
    """int32[B, M], -1 pads: rank these and nothing else. Rules and exclusions do not apply: the
    caller chose the list."""
    only_fallback: DegradedReason | None = None
    """Skip the blend and fill from the chain alone, giving this reason (anchors that nobody knows)."""
    shown: Ints | None = None
    """int32[B, O]: what the pages before this one showed, -1 for items that are gone; the list goes on behind it."""
    counts: bool = False
    """Whether it is counted what each rule takes away."""
    width: float = 1.0
    """Each source proposes this share of its candidates, and as many as are shown at least. A server that is busy takes
    less than all; offline it is always 1."""
