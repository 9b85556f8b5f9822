"""All users' events since the models were fitted, read from the store as they arrive, from whichever server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.data.catalog import Entities, Role
from cuvee.data.dataset import Dataset
from cuvee.data.store import Store
from cuvee.data.store.activity import Received
from cuvee.data.store.rows import now
from cuvee.data.store.weights import settled, weights_of
from cuvee.product import EventsConfig
from cuvee.recommender import Activity, Floats, Ints, Profile, Times

__all__ = ["SinceFit"]

LATE = 5.0
"""By how many seconds an event may be committed after one that was received later: the duration of a
transaction, and the difference between two servers' clocks. Later ones are only used by the next fit."""
AGAIN = 5.0
"""Seconds between two searches for late events; not at each read, since it reads events twice."""
SEEN = int((LATE + AGAIN) * 1e6)
"""For how many microseconds back the ids of read events are kept."""
PAGE = 10_000
MOST = 2**20
"""From this many events on, those of one hour are merged."""
HOUR = 3600.0
TOLD = (Role.CATEGORY, Role.CATEGORIES, Role.NUMBER, Role.FLAG)
"""The roles of users' columns that are passed to models: those whose values many users share."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """Events with items numbered by this module, since an item may not be in the catalogue yet."""

    items: Ints
    weights: Floats
    times: Times
    people: Ints
    users: Ints

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float, float, int, int]]) -> _Counted:
        """Of (item, weight, seconds, profile, user)."""
        items, weights, times, people, users = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        return cls(
            np.array(items, np.int32),
            np.array(weights, np.float32),
            np.array(times, np.float64),
            np.array(people, np.int32),
            np.array(users, np.int32),
        )

    @classmethod
    def joined(cls, parts: Sequence[_Counted]) -> _Counted:
        """Behind each other."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__slots__))

    def by_hour(self) -> _Counted:
        """Merge the events of one item, user and hour into one, at the time of the last of them."""
        keys = np.stack([self.items, self.people, self.users, np.floor(self.times / HOUR).astype(np.int64)])
        kept, at = np.unique(keys, axis=1, return_inverse=True)
        at = at.reshape(-1)
        last = np.full(kept.shape[1], -np.inf)
        np.maximum.at(last, at, self.times)
        weights = np.bincount(at, self.weights, kept.shape[1]).astype(np.float32)
        return _Counted(kept[0].astype(np.int32), weights, last, kept[1].astype(np.int32), kept[2].astype(np.int32))


class SinceFit:
    """The events of one product that its models have not learnt from. Not for two threads at once."""

    def __init__(self, store: Store, product: str, config: EventsConfig, imported: Dataset, until: int) -> None:
        """``until``: the models have learnt from what was received up to then, in microseconds."""
        self._store = store
        self._product = product
        self._config = config
        self._imported = imported
        self._until = until
        self._columns = frozenset(imported.catalog.users.columns(*TOLD))
        self._cleared = -1
        self._begin()

    def _begin(self) -> None:
        self._newest = self._until
        self._complete = self._until
        self._last_came = self._looked_again = -np.inf
        self._seen: dict[str, int] = {}
        self._parts = [_Counted.of([])]
        self._bound = MOST
        self._numbers: dict[str, int] = {}
        self._users: dict[str, int] = {}
        self._people: dict[tuple[tuple[str, object], ...], int] = {}
        self._profiles: list[Profile] = []

    def read(self) -> bool:
        """Read new events; returns whether there were any. Where a user was forgotten, all events are read again.

        Raises:
            UnavailableError: the store cannot be reached; events read so far are kept.
        """
        cleared = self._store.cleared(self._product)
        anew = cleared != self._cleared
        if anew:
            self._forgotten = self._store.forgotten(self._product)
            self._begin()
            self._cleared = cleared
        clock, found = now(), False
        after = max(self._from(), self._until) + 1, ""
        while page := self._store.received_after(self._product, after, PAGE):
            new = [row for row in page if row.event_id not in self._seen]
            if new:
                found, self._last_came = True, time.monotonic()
                self._take(new)
            after = page[-1].received, page[-1].event_id
            oldest = min(after[0], clock) - SEEN
            self._seen = {event_id: received for event_id, received in self._seen.items() if received > oldest}
            if len(page) < PAGE:
                break
        # never ahead of this machine's clock, since another server's clock may be wrong
        self._complete = min(self._newest, clock)
        return found or anew

    def _from(self) -> int:
        """The time of receipt after which to read: where the last read ended, and at times earlier, for late events."""
        time_past = time.monotonic()
        if time_past - self._last_came > LATE + 2 * AGAIN or time_past - self._looked_again < AGAIN:
            return self._complete
        self._looked_again = time_past
        return self._complete - SEEN

    def _take(self, new: Sequence[Received]) -> None:
        self._newest = max(self._newest, new[-1].received)
        self._seen |= {row.event_id: row.received for row in new}
        weights = weights_of(self._config, [row.type for row in new], [row.value for row in new])
        owners = sorted({row.owner for row in new})
        users = self._imported.catalog.users
        places = {owner: -1 if self._forgotten(owner) else users.position(owner) for owner in owners}
        people = self._people_of(owners, places)
        # a dislike cancels the user's earlier likes, so all of his events are needed
        critics = {row.owner for row, weight in zip(new, weights, strict=True) if weight < 0}
        rows = [
            (
                self._number(row.item_id),
                float(weight),
                self._time(row, places[row.owner]),
                people[row.owner],
                self._user(row.owner),
            )
            for row, weight in zip(new, weights, strict=True)
            if row.owner not in critics
        ]
        if critics:
            ids = {row.event_id for row in new}
            for owner, history in self._store.histories_of(self._product, sorted(critics)).items():
                there = [row for row in history if row.received <= self._newest]
                changes = self._changes(there, places[owner], lambda row: row.event_id in ids)
                user = self._user(owner)
                rows += [(item, weight, when, people[owner], user) for item, weight, when in changes]
        self._parts.append(_Counted.of(rows))

    def _changes(
        self, history: Sequence[Received], place: int, is_new: Callable[[Received], bool]
    ) -> list[tuple[int, float, float]]:
        """(item, weight, time) of what one user's new events add, and of the older likes that they cancel."""
        items, weights, times = self._imported_of(place)
        items = np.concatenate([items, np.array([self._number(row.item_id) for row in history], np.int32)])
        weights = np.concatenate(
            [weights, weights_of(self._config, [row.type for row in history], [row.value for row in history])]
        )
        times = np.concatenate([times, np.array([self._time(row, place) for row in history], np.float64)])
        new = np.zeros(len(items), np.bool_)
        new[len(items) - len(history) :] = [is_new(row) for row in history]
        change = settled(items, weights)
        change[~new] -= settled(items[~new], weights[~new])
        told = new | (change != 0)
        return list(zip(items[told].tolist(), change[told].tolist(), times[told].tolist(), strict=True))

    def _imported_of(self, place: int) -> tuple[Ints, Floats, Times]:
        events = self._imported.histories([place])
        ids = self._imported.catalog.items.ids(events.items)
        return np.array([self._number(item_id) for item_id in ids], np.int32), events.weights, events.times

    def _time(self, row: Received, place: int) -> float:
        """Seconds; a user's stored events come after his imported ones, as in a fit."""
        events = self._imported.events
        if place < 0 or events.offsets[place] == events.offsets[place + 1]:
            return row.time / 1e6
        return max(row.time / 1e6, float(events.times[events.offsets[place + 1] - 1]))

    def _number(self, item_id: str) -> int:
        return self._numbers.setdefault(item_id, len(self._numbers))

    def _user(self, owner: str) -> int:
        return self._users.setdefault(owner, len(self._users))

    def _people_of(self, owners: Sequence[str], places: Mapping[str, int]) -> dict[str, int]:
        """The index of each owner's profile."""
        stored = self._store.profiles_of(self._product, owners)
        users = self._imported.catalog.users
        found = {}
        for owner in owners:
            attributes: Mapping[str, object] = stored.get(owner, {})
            if owner not in stored and places[owner] >= 0:
                attributes = users.row(places[owner])
            told = {name: _plain(value) for name, value in attributes.items() if name in self._columns}
            key = tuple(sorted(told.items()))
            if key not in self._people:
                self._people[key] = len(self._profiles)
                self._profiles.append(Profile(told))
            found[owner] = self._people[key]
        return found

    def activity(self, items: Entities) -> Activity:
        """All events whose items are in the catalogue."""
        whole = _Counted.joined(self._parts)
        if len(whole.items) > self._bound:
            whole = whole.by_hour()
            self._bound = max(MOST, 2 * len(whole.items))
        self._parts = [whole]
        place = items.positions(list(self._numbers))[whole.items] if len(whole.items) else whole.items
        there = place >= 0
        return Activity(
            place[there],
            whole.weights[there],
            whole.times[there],
            whole.people[there],
            [*self._profiles],
            whole.users[there],
        )


def _plain(value: object) -> str | float | bool | tuple[str, ...]:
    if isinstance(value, str | bool):
        return value
    return float(value) if isinstance(value, int | float) else tuple(str(one) for one in value)  # type: ignore[attr-defined]
