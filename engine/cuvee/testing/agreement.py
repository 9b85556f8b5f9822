"""Checks that a server's lists equal those that the same models make offline, item by item.

Both use one pipeline, but a server batches its callers, runs sources in threads and sends lists as
messages. :func:`compare` asks a running server about users one by one, makes their lists in this
process, and counts the places where they differ. Where two items' scores are equal to the rounding
of float32, their order may depend on the batch: such places are counted separately.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from cuvee.artifacts.snapshot import Snapshot
from cuvee.client import Client
from cuvee.ranking.ask import Directly
from cuvee.ranking.known_users import ask_about, in_batches
from cuvee.ranking.pipeline import make_lists
from cuvee.recommender import Ints, Progress

__all__ = ["Agreement", "compare"]

ROUNDING = 1e-5
"""Scores that differ by less, relative to the larger of 1 and themselves, are equal: sums over
thousands of float32 products are no more exact."""
TRIES = 3
"""How often a user's request is repeated while its answer is degraded, since machine load is not what is tested."""


@dataclass
class Agreement:
    """The result of a comparison."""

    users: int = 0
    items: int = 0
    """Places of all lists."""
    differing: int = 0
    """Places with another item, or none, on one side."""
    ties: int = 0
    """Places with another item whose score is the same."""
    degraded: int = 0
    """Users whose served answer stayed degraded; they are not compared."""
    largest_gap: float = 0.0
    """The largest difference between the two scores at one place."""
    examples: list[str] = field(default_factory=list)
    """The first few differences in words."""

    def add(self, user: str, served: Sequence[tuple[str, float]], offline: Sequence[tuple[str, float]]) -> None:
        """Compare one user's two lists of (item id, score)."""
        self.users += 1
        self.items += max(len(served), len(offline))
        for place in range(max(len(served), len(offline))):
            if place >= min(len(served), len(offline)):
                self._differ(f"user {user}: {len(served)} items served, {len(offline)} offline")
                continue
            (one, score), (other, expected) = served[place], offline[place]
            gap = abs(score - expected)
            self.largest_gap = max(self.largest_gap, gap)
            if gap > ROUNDING * max(1.0, abs(expected)):
                self._differ(f"user {user}, place {place}: {one} ({score}) served, {other} ({expected}) offline")
            elif one != other:
                self.ties += 1

    def _differ(self, example: str) -> None:
        self.differing += 1
        if len(self.examples) < 5:
            self.examples.append(example)


def compare(
    client: Client,
    snapshot: Snapshot,
    users: Ints,
    k: int,
    *,
    timeout: float = 30.0,
    told: Progress | None = None,
) -> Agreement:
    """Compare served and offline lists of k for users (int32[B], positions in the snapshot's catalogue).

    The product must not explore, since explored items are drawn at random for each answer.
    """
    found = Agreement()
    ids = snapshot.data.catalog.users.ids(users)
    for user, offline in zip(ids, _offline(snapshot, users, k), strict=True):
        for _ in range(TRIES):
            answer = client.recommend(snapshot.product.name, user_id=user, page_size=k, timeout=timeout)
            if not answer.degraded:
                break
        else:
            found.degraded += 1
            continue
        found.add(user, [(item.item_id, item.score) for item in answer.items], offline)
        if told is not None:
            told(found.users + found.degraded, len(users))
    return found


def _offline(snapshot: Snapshot, users: Ints, k: int) -> Iterator[list[tuple[str, float]]]:
    """Each user's list of (item id, score), made here in batches."""
    items = snapshot.data.catalog.items
    with Directly() as ask:
        for batch in in_batches(users):
            question = ask_about(snapshot.data, batch, k, snapshot.product.history)
            answer = make_lists(snapshot.plan, question, ask)
            failed = next((report.failure for report in answer.reports if report.failure), None)
            if failed is not None:
                raise failed
            positions = np.concatenate([answer.blended.items, answer.fallback.items], axis=1)
            scores = np.concatenate([answer.blended.scores, answer.fallback.scores], axis=1)
            for row, row_scores, order in zip(positions, scores, answer.places(), strict=True):
                listed = order[order >= 0]
                known = np.nan_to_num(row_scores[listed]).tolist()
                yield list(zip(items.ids(row[listed]), known, strict=True))
