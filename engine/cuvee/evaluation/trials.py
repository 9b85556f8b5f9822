"""Trials: what models may learn from, what is asked afterwards, and what would have been right.

A trial is one protocol carried out on one dataset. It asks in rounds, each a batch of questions of
one kind; most protocols have one round, cold users have one for every number of given events.
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

__all__ = ["Round", "Trial"]

BATCH = 256
"""Questions that are asked at once."""


@dataclass(frozen=True)
class Round:
    """B questions of one kind, and what is right."""

    name: str
    """What tells it from the other rounds; empty where there is one only."""
    people: Ints
    """int32[B]: whose questions they are; none twice."""
    histories: Histories
    """B rows: what is known of what they did."""
    held_out: Ragged
    """B rows of distinct items, one each at least."""
    k: int
    """Length of the lists."""
    strangers: bool = False
    """Asked without a name: the catalogue does not say who they are. Attributes are declared."""
    excluded: Ragged | None = None
    """B rows: items that the caller does not want, beside those that the rules exclude."""
    eligible: Bools | None = None
    """bool[N]: items that the caller wants; None is all."""
    listed: Ints | None = None
    """int32[B, M]: rank these alone, -1 pads; None ranks the catalogue."""
    about_new: bool = False
    """Whether what is right is new to the models: most sources can have no opinion on it."""

    def __len__(self) -> int:
        return len(self.people)

    @cached_property
    def lengths(self) -> Offsets:
        """int64[B]: liked events in each history."""
        return self.histories.liked

    def select(self, rows: Offsets) -> Round:
        """The given questions, in the given order."""
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
    """A protocol, carried out on a dataset."""

    protocol: str
    train: Dataset
    """What models are fitted on. Its catalogue may lack the last items of ``data``'s: they are new."""
    data: Dataset
    """What is there when the questions are asked: the catalogue that is served."""
    rounds: Sequence[Round]
    notes: Sequence[str] = ()
    """What was decided that changes figures, for people."""
    ideal_over_all: bool = False
    """Whether NDCG's ideal list holds all that was held out, as some published tables have it."""
    segmented: bool = True
    """Whether histories differ enough in length to look at segments of users."""
    n_asked: int = 0
    """People who could be asked; more than are where a sample was taken."""
    baselines: Sequence[str] = field(default=())
    """Rows of :mod:`cuvee.evaluation.baselines` to compare with."""

    def sampled(self, n: int | None, seed: int) -> Trial:
        """With at most n people, drawn at random, the same ones in every round; rounds without any are left out."""
        everyone = np.unique(np.concatenate([r.people for r in self.rounds]))
        drawn = np.random.default_rng(seed).permutation(everyone)[:n]
        rounds = [r.select(np.flatnonzero(np.isin(r.people, drawn))) for r in self.rounds]
        return replace(self, rounds=[r for r in rounds if len(r)], n_asked=len(everyone))

    @property
    def n_people(self) -> int:
        """People who are asked."""
        return len(np.unique(np.concatenate([r.people for r in self.rounds])))

    def questions(self, asked: Round, history: int) -> Iterator[Question]:
        """A round's questions, batch by batch; ``history`` is how many of the newest events sources get."""
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
        seen = Ragged(part.histories.offsets, part.histories.items)
        return Question(queries, seen, part.k, listed=part.listed)


def round_of(split: Split, k: int) -> Round:
    """Each test user of a split once, after all that is left of his events."""
    return Round("", split.users, split.train.histories(split.users), split.held_out, k)
