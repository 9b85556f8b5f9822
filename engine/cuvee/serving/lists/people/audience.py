"""Whom a question about users looks at: imported and stored users, less those who were deleted or do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cuvee.data.filters import compile_filter
from cuvee.data.store.catalogue.overlay import matching
from cuvee.data.store.rows import UserRow
from cuvee.queries import Bools, Times
from cuvee.recommender import History, Ints
from cuvee.serving.lists.drafts import Row
from cuvee.serving.lists.edge import identified
from cuvee.serving.lists.histories import from_plugin, stored
from cuvee.serving.lists.users import NOBODY, StoredUsers
from cuvee.serving.live.products import Served

__all__ = ["Audience", "look_for", "nobody_of", "rows_of", "yardstick"]

YARDSTICK = 100
"""Among how many other items an item is scored for each user."""


class Audience(NamedTuple):
    """Users by id, the ones who did something last first."""

    user_ids: Sequence[str]
    narrowed: bool
    """Whether there are more than are looked at."""
    unknown: Sequence[str] = ()
    """Excluded ids about which nothing is known."""


def look_for(served: Served, users: StoredUsers | None, sql: str, excluded: frozenset[str], most: int) -> Audience:
    """The users for whom a filter is true, less the excluded ones; blocks, so it is called in a thread.

    Raises:
        InvalidArgument: naming ``filter``.
        UnavailableError: the store cannot be read.
    """
    imported = served.snapshot.data.catalog.users
    fits: Bools = compile_filter(sql, imported).mask.copy() if sql else np.ones(len(imported), np.bool_)
    rows: Sequence[tuple[UserRow, int]] = ()
    forgotten: Callable[[str], bool] | None = None
    if users is not None:
        rows, forgotten = users.everybody(served.snapshot.product.name, most)
    positions = imported.positions([row.user_id for row, _ in rows]) if rows else np.empty(0, np.int32)
    gone = np.array([forgotten is not None and forgotten(row.user_id) for row, _ in rows], np.bool_)
    positions = np.where(gone, np.int32(-1), positions) if rows else positions
    # a stored profile stands in place of the imported one
    own = np.array([row.updated is not None or at < 0 for (row, _), at in zip(rows, positions, strict=True)], np.bool_)
    suits = np.ones(len(rows), np.bool_)
    suits[own] = matching([row for (row, _), mine in zip(rows, own, strict=True) if mine], sql, imported)
    suits[~own] = fits[positions[~own]]
    last = _last_times(served)
    fits[positions[positions >= 0]] = False  # they come with the stored ones
    others = np.flatnonzero(fits)
    ids = [row.user_id for row, _ in rows] + imported.ids(others)
    times = np.concatenate([_times(rows, positions, last), last[others]])
    kept = np.concatenate([suits, np.ones(len(others), np.bool_)])
    for at in range(len(rows), len(ids)):
        kept[at] = forgotten is None or not forgotten(ids[at])
    if excluded:
        kept &= np.array([one not in excluded for one in ids], np.bool_)
    chosen = np.flatnonzero(kept)
    # of equals, the first ids
    order = sorted(chosen.tolist(), key=lambda at: (-times[at], ids[at])) if len(chosen) > most else chosen.tolist()
    return Audience([ids[at] for at in order[:most]], len(chosen) > most or len(rows) >= most)


def _last_times(served: Served) -> Times:
    """float64[U]: when each imported user did something last; long ago for one without events."""
    events = served.snapshot.data.events
    ends = events.offsets[1:]
    some = ends > events.offsets[:-1]
    found = np.full(len(some), -np.inf)
    found[some] = events.times[ends[some] - 1]
    return found


def _times(rows: Sequence[tuple[UserRow, int]], positions: Ints, last: Times) -> Times:
    when = np.array([at / 1e6 for _, at in rows], np.float64)
    known = positions >= 0
    when[known] = np.maximum(when[known], last[positions[known]])
    return when


def rows_of(
    served: Served,
    users: StoredUsers | None,
    user_ids: Sequence[str],
    listed: Ints,
    loaded: Mapping[str, History],
) -> list[tuple[str, Row]]:
    """Users, each with the row that asks for scores of ``listed``, as Rank would make it; blocks.

    ``loaded`` holds the histories that plugins gave. Users who were deleted meanwhile are left out.

    Raises:
        UnavailableError: the store cannot be read.
    """
    found = users.each(served.snapshot.product.name, user_ids) if users is not None else {}
    made = []
    for user_id in user_ids:
        known = found.get(user_id, NOBODY)
        user, profile = identified(served, user_id, known)
        if user < 0 and known.stamp is None:
            continue
        events = from_plugin(served, loaded[user_id]) if user_id in loaded else stored(served, user, known)
        made.append((user_id, Row(served, 0, events, user=user, profile=profile, user_known=True, listed=listed)))
    return made


def nobody_of(served: Served, users: StoredUsers | None, user_ids: Sequence[str]) -> list[str]:
    """Those of some ids about which nothing is known, each once; blocks."""
    if not user_ids:
        return []
    each = list(dict.fromkeys(user_ids))
    found = (
        users.each(served.snapshot.product.name, [one for one in each if "\0" not in one]) if users is not None else {}
    )
    known = served.snapshot.data.catalog.users
    return [
        one
        for one in each
        if (state := found.get(one, NOBODY)).stamp is None and (state.forgotten or known.position(one) < 0)
    ]


def yardstick(served: Served, item: int) -> Ints:
    """int32[1 + n]: an item, and behind it the items that it is compared with: those with the most imported events.

    Most calibrations read an opinion against the user's others, so that one score alone would say nothing.
    """
    events, n = served.snapshot.data.events.items, len(served.snapshot.data.catalog.items)
    counts = np.bincount(events, minlength=n)
    counts[item] = -1
    others = np.argsort(-counts, kind="stable")[: min(YARDSTICK, n - 1)]
    return np.concatenate([[item], others]).astype(np.int32)
