"""Events of all users in the order in which they were received, for servers that update their models.

Two transactions may be committed in another order than their events were received, so a reader reads
the last seconds again and skips the events that it has.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select, update

from cuvee.data.store.events import PAGE, insert_into
from cuvee.data.store.rows import Attribute
from cuvee.data.store.tables import EVENTS, HEADS, USERS

__all__ = ["Received", "cleared_of", "histories_of", "newest_receipt", "note_cleared", "profiles_of", "received_after"]


@dataclass(frozen=True, slots=True)
class Received:
    """The fields of an event that models are updated with."""

    event_id: str
    owner: str
    item_id: str
    type: int
    value: float
    time: int
    received: int


_COLUMNS = [
    EVENTS.c[name] for name in ("event_id", "owner", "item_id", "type", "value", "time", "received")
]  # in the order of the fields


def newest_receipt(connection: Connection, product: str) -> int:
    """When the newest event was received, in microseconds; 0 where there is none."""
    return connection.execute(select(func.max(EVENTS.c.received)).where(EVENTS.c.product == product)).scalar() or 0


def received_after(connection: Connection, product: str, after: tuple[int, str], most: int) -> list[Received]:
    """Events received after a time, or at that time with a larger event id; oldest first, limited in number."""
    received, event_id = EVENTS.c.received, EVENTS.c.event_id
    # the first condition lets the index be used
    behind = and_(received >= after[0], or_(received > after[0], event_id > after[1]))
    query = select(*_COLUMNS).where(EVENTS.c.product == product, behind).order_by(received, event_id).limit(most)
    return [Received(*row) for row in connection.execute(query)]


def histories_of(connection: Connection, product: str, owners: Sequence[str]) -> Mapping[str, list[Received]]:
    """All events of some users, each user's by time, then by order of receipt."""
    found: defaultdict[str, list[Received]] = defaultdict(list)
    for at in range(0, len(owners), PAGE):
        query = (
            select(*_COLUMNS)
            .where(EVENTS.c.product == product, EVENTS.c.owner.in_(owners[at : at + PAGE]))
            .order_by(EVENTS.c.owner, EVENTS.c.time, EVENTS.c.received, EVENTS.c.event_id)
        )
        for row in connection.execute(query):
            found[row.owner].append(Received(*row))
    return found


def profiles_of(connection: Connection, product: str, users: Sequence[str]) -> dict[str, Mapping[str, Attribute]]:
    """The attributes of those of some users who have a stored profile."""
    found: dict[str, Mapping[str, Attribute]] = {}
    for at in range(0, len(users), PAGE):
        query = select(USERS.c.user_id, USERS.c.profile).where(
            USERS.c.product == product, USERS.c.user_id.in_(users[at : at + PAGE]), USERS.c.profile.is_not(None)
        )
        found |= {row.user_id: json.loads(row.profile).get("attributes", {}) for row in connection.execute(query)}
    return found


def note_cleared(connection: Connection, product: str) -> None:
    """Record that a user was forgotten, so that servers read all events again."""
    head = insert_into(connection, HEADS).on_conflict_do_nothing()
    connection.execute(head, {"product": product, "revision": 0, "born": 0})
    connection.execute(update(HEADS).where(HEADS.c.product == product).values(cleared=HEADS.c.cleared + 1))


def cleared_of(connection: Connection, product: str) -> int:
    """How often users were forgotten so far."""
    return connection.execute(select(HEADS.c.cleared).where(HEADS.c.product == product)).scalar() or 0
