"""Questions about known users of a dataset, in batches: what evaluation and calibration ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.data.dataset import Dataset
from cuvee.ranking.plan import Question
from cuvee.recommender import Ints, Profile, Queries
from cuvee.rules import Seen

__all__ = ["ask_about", "in_batches", "profile_of"]


def profile_of(catalog: Catalog, user: int) -> Profile:
    """The stored attributes of a user, or none for one that the catalogue does not know."""
    if not 0 <= user < len(catalog.users):
        return Profile()
    row = catalog.users.row(user)
    plain = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in row.items()
        if isinstance(v, str | int | float | bool | list)
    }
    return Profile(attributes={k: float(v) if type(v) is int else v for k, v in plain.items()})


def ask_about(data: Dataset, users: Ints, k: int, history: int, now: float | None = None) -> Question:
    """What would be recommended to these users (int32[B]) after all their events in ``data``.

    ``history`` is how many of the newest events the recommenders get; ``now`` is the time of the
    newest event by default.
    """
    events = data.histories(users)
    when = float(data.events.times.max(initial=0.0)) if now is None else now
    profiles: Sequence[Profile] = [profile_of(data.catalog, int(u)) for u in users]
    queries = Queries.build(events.last(history), users, profiles, when)
    return Question(queries, Seen.imported(events), k)


def in_batches(users: Ints, size: int = 256) -> Iterator[Ints]:
    """Consecutive pieces of at most ``size``."""
    for start in range(0, len(users), size):
        yield np.asarray(users[start : start + size], np.int32)
