"""Trials: the training data, the queries to evaluate, and their right items.

A trial is one protocol applied to one dataset. It has rounds, each a set of queries of one kind. Most
protocols have one round; cold users have one for every number of given events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from cuvee.data.dataset import Dataset
from cuvee.evaluation.splits import Split
from cuvee.ranking.known_users import profile_of
from cuvee.ranking.plan import Question
from cuvee.recommender import Bools, Histories, Ints, Offsets, Profile, Queries, Ragged
from cuvee.rules import Seen

__all__ = ["Round", "Trial"]

BATCH = 256
"""How many queries are answered in one batch."""


@dataclass(frozen=True)
class Round:
    """B queries of one kind, and their right items."""

    name: str
    """The name that distinguishes it from other rounds; empty where there is only one."""
    people: Ints
    """int32[B]: the user of each query, all different."""
    histories: Histories
    """B rows: the users' known events."""
    held_out: Ragged
    """B rows of distinct items, at least one each."""
    k: int
    """Length of the lists."""
    strangers: bool = False
    """Whether queries carry no user id, so that users are unknown; their attributes are declared."""
    excluded: Ragged | None = None
    """B rows: items that the caller excludes, in addition to those that the rules exclude."""
    eligible: Bools | None = None
    """bool[N]: items that the caller allows; None is all."""
    listed: Ints | None = None
    """int32[B, M]: rank these alone, -1 pads; None ranks the catalogue."""
    about_new: bool = False
    """Whether the right items are new to the models: most sources cannot score them."""

    def __len__(self) -> int:
        return len(self.people)

    @cached_property
    def lengths(self) -> Offsets:
        """int64[B]: liked events in each history."""
        return self.histories.liked

    def select(self, rows: Offsets) -> Round:
        """The given queries, in the given order."""
        return replace(
            self,
            people=self.people[rows],
            histories=self.histories.select(rows),
            held_out=self.held_out.select(rows),
            excluded=None if self.excluded is None else self.excluded.select(rows),
            listed=None if self.listed is None else self.listed[rows],
        )


@dataclass(frozen=True)
class Trial:
    """A protocol applied to a dataset."""

    protocol: str
    train: Dataset
    """The training data. Its catalogue may lack the last items of ``data``, which are then new items."""
    data: Dataset
    """The data at the time of the queries, with the served catalogue."""
    rounds: Sequence[Round]
    notes: Sequence[str] = ()
    """Notes for people on decisions that change figures."""
    ideal_over_all: bool = False
    """Whether NDCG's ideal list holds all held-out items, as in some published tables."""
    segmented: bool = True
    """Whether histories differ enough in length to look at segments of users."""
    n_asked: int = 0
    """Users that could be evaluated; more than are evaluated where a sample was taken."""
    baselines: Sequence[str] = field(default=())
    """Rows of :mod:`cuvee.evaluation.baselines` to compare with."""

    def sampled(self, n: int | None, seed: int) -> Trial:
        """With at most n users, drawn at random, the same ones in every round; rounds without any are left out."""
        everyone = np.unique(np.concatenate([r.people for r in self.rounds]))
        drawn = np.random.default_rng(seed).permutation(everyone)[:n]
        rounds = [r.select(np.flatnonzero(np.isin(r.people, drawn))) for r in self.rounds]
        return replace(self, rounds=[r for r in rounds if len(r)], n_asked=len(everyone))

    @property
    def n_people(self) -> int:
        """Users that are evaluated."""
        return len(np.unique(np.concatenate([r.people for r in self.rounds])))

    def questions(self, asked: Round, history: int) -> Iterator[Question]:
        """A round's queries, batch by batch; ``history`` is how many of the newest events sources get."""
        now = float(self.train.events.times.max(initial=0.0))
        for start in range(0, len(asked), BATCH):
            part = asked.select(np.arange(start, min(start + BATCH, len(asked))))
            yield self._question(part, history, now)

    def _question(self, part: Round, history: int, now: float) -> Question:
        profiles: list[Profile] = [profile_of(self.data.catalog, int(person)) for person in part.people]
        queries = Queries.build(
            part.histories.last(history),
            np.full(len(part), -1, np.int32) if part.strangers else part.people,
            profiles,
            now,
            excluded=part.excluded,
            eligible=part.eligible,
        )
        return Question(queries, Seen.imported(part.histories), part.k, listed=part.listed)


def round_of(split: Split, k: int) -> Round:
    """A round with each test user of a split once, his remaining events being the history."""
    return Round("", split.users, split.train.histories(split.users), split.held_out, k)
