"""Users of the store and users that were imported, as one list."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import replace

from cuvee.data.catalog import Entities
from cuvee.data.filters import compile_filter
from cuvee.data.store import Store
from cuvee.data.store.catalogue.overlay import matching
from cuvee.data.store.rows import UserRow
from cuvee.serving.catalogue.to_wire import imported_user
from cuvee.serving.live.products import Served

__all__ = ["UserPages"]

CHUNK = 1000
"""How many users are read at a time."""
CHUNKS = 20
"""How many users one page reads at most: with a narrow filter a page may be short, and the next one continues."""


class UserPages:
    """Reads users. Its methods block, so they are called in threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sorted: dict[str, tuple[Entities, list[str]]] = {}

    def forgotten(self, product: str) -> Callable[[str], bool]:
        """Whether a user's imported data must not be used."""
        return self._store.forgotten(product)

    def user(self, served: Served, user_id: str) -> UserRow | None:
        """One user with the number of all his events, or None where he is unknown."""
        product = served.snapshot.product.name
        stored = self._store.user(product, user_id)
        imported = None if self.forgotten(product)(user_id) else imported_user(_users(served), user_id)
        return _joined(served, stored, imported)

    def page(self, served: Served, after: str, size: int, sql: str) -> tuple[list[UserRow], str]:
        """Up to ``size`` users after an id, and the id after which the next page starts; empty at the end."""
        product = served.snapshot.product.name
        forgotten = self.forgotten(product)
        imported = self._imported(served)
        found: list[UserRow] = []
        _check(sql, _users(served))
        for _ in range(CHUNKS):
            stored = {row.user_id: row for row in self._store.users(product, after, CHUNK)}
            first = bisect.bisect_right(imported, after) if after else 0
            there = imported[first : first + CHUNK]
            ids = sorted({*stored, *there})
            # a list that was cut may continue before the other's next id, so nothing beyond its end is shown yet
            ends = [part[-1] for part in (list(stored), there) if len(part) == CHUNK]
            ids = [one for one in ids if not ends or one <= min(ends)]
            rows = []
            for user_id in ids:
                own = None if forgotten(user_id) else imported_user(_users(served), user_id)
                row = _joined(served, stored.get(user_id), own)
                if row is not None:
                    rows.append(row)
            for row, fits in zip(rows, matching(rows, sql, _users(served)), strict=True):
                if not fits:
                    continue
                if len(found) == size:
                    return found, found[-1].user_id
                found.append(row)
            if not ends:
                return found, ""
            after = ids[-1]
        return found, after

    def _imported(self, served: Served) -> Sequence[str]:
        """Ids in order of code points."""
        name, users = served.snapshot.product.name, _users(served)
        kept = self._sorted.get(name)
        if kept is None or kept[0] is not users:
            kept = self._sorted[name] = users, users.frame["id"].sort().to_list()
        return kept[1]


def _users(served: Served) -> Entities:
    return served.snapshot.data.catalog.users


def _joined(served: Served, stored: UserRow | None, imported: UserRow | None) -> UserRow | None:
    """The stored profile, else the imported one; all the events."""
    if imported is None:
        return stored
    position = _users(served).position(imported.user_id)
    offsets = served.snapshot.data.events.offsets
    count = int(offsets[position + 1] - offsets[position])
    if stored is None:
        return replace(imported, event_count=count)
    base = stored if stored.updated is not None else replace(
        imported, created=stored.created, event_count=stored.event_count
    )  # fmt: skip
    return replace(base, event_count=stored.event_count + count)


def _check(sql: str, users: Entities) -> None:
    """Check that the filter fits the imported columns; raises InvalidArgument."""
    if sql:
        compile_filter(sql, Entities(users.frame.head(0), users.roles))
