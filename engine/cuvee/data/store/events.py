"""Writing and reading events: idempotent by id; the owner's count and stamp change in the same transaction.

Rows are written in the order of their keys, events before users, so that two transactions never
wait for each other in a circle.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, and_, bindparam, delete, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from cuvee.data.store.arrays import insert_arrays
from cuvee.data.store.rows import EventRow, History
from cuvee.data.store.tables import EVENTS, USERS

__all__ = ["events_of", "history_of", "new_stamp", "prune_events", "write_events"]

PAGE = 1000
"""How many rows are read or deleted at a time."""
ADDED = """
ON CONFLICT (product, user_id) DO UPDATE
SET event_count = cuvee_users.event_count + excluded.event_count, stamp = excluded.stamp
"""
"""The clause that adds events to an existing user's row."""
_COLUMNS = [c.name for c in EVENTS.columns]


def new_stamp() -> int:
    """A stamp that no row had before."""
    return secrets.randbits(62)


def insert_into(connection: Connection, table: Any) -> Any:
    """INSERT with ON CONFLICT, which each dialect has under its own name."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def write_events(connection: Connection, rows: Sequence[EventRow]) -> list[bool]:
    """Store events; of several with one id, the first. Returns for each whether it was stored."""
    if not rows:
        return []
    first: dict[tuple[str, str], int] = {}
    for at, row in enumerate(rows):
        first.setdefault((row.product, row.event_id), at)
    values = [_values(rows[first[key]]) for key in sorted(first)]
    if connection.dialect.name == "postgresql":
        found: CursorResult[Any] = insert_arrays(
            connection, EVENTS, values, "ON CONFLICT DO NOTHING RETURNING product, event_id"
        )
    else:
        insert = insert_into(connection, EVENTS).on_conflict_do_nothing()
        found = connection.execute(insert.returning(EVENTS.c.product, EVENTS.c.event_id), values)
    written = {(row.product, row.event_id) for row in found}
    new = [rows[first[key]] for key in written]
    if new:
        _count(connection, new)
    return [(row.product, row.event_id) in written and first[row.product, row.event_id] == at
            for at, row in enumerate(rows)]  # fmt: skip


def _values(row: EventRow) -> dict[str, Any]:
    """A row as a dict by column. dataclasses.asdict deep-copies each value, which costs half as much as storing it."""
    return {name: getattr(row, name) for name in _COLUMNS}


def _count(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Add to the owners' counts, and give them new stamps."""
    counts = Counter((row.product, row.owner) for row in rows)
    created: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row.product, row.owner
        created[key] = min(created.get(key, row.received), row.received)
    values = [
        {
            "product": product,
            "user_id": owner,
            "created": created[product, owner],
            "event_count": counts[product, owner],
            "stamp": new_stamp(),
        }
        for product, owner in sorted(counts)
    ]
    if connection.dialect.name == "postgresql":
        insert_arrays(connection, USERS, values, ADDED)
        return
    insert = insert_into(connection, USERS)
    upsert = insert.on_conflict_do_update(
        index_elements=[USERS.c.product, USERS.c.user_id],
        set_={"event_count": USERS.c.event_count + insert.excluded.event_count, "stamp": insert.excluded.stamp},
    )
    connection.execute(upsert, values)


_HISTORY = (
    select(EVENTS.c.item_id, EVENTS.c.type, EVENTS.c.value, EVENTS.c.time)
    .where(EVENTS.c.product == bindparam("product"), EVENTS.c.owner == bindparam("owner"))
    .order_by(EVENTS.c.time.desc(), EVENTS.c.received.desc())
    .limit(bindparam("most"))
)


def history_of(connection: Connection, product: str, owner: str, most: int) -> History:
    """The newest events of one user, oldest first: one range of an index."""
    found = connection.execute(_HISTORY, {"product": product, "owner": owner, "most": most}).all()
    if not found:
        return History()
    items, types, values, times = zip(*reversed(found), strict=True)
    return History(items, types, values, times)


def events_of(connection: Connection, product: str, owner: str, after: EventRow | None) -> list[EventRow]:
    """A page of one user's events by ascending time, starting after a given event."""
    columns = EVENTS.c
    # spelt out: SQLite's planner uses no index for a comparison of tuples
    behind = true() if after is None else or_(
        columns.time > after.time,
        and_(columns.time == after.time, columns.received > after.received),
        and_(columns.time == after.time, columns.received == after.received, columns.event_id > after.event_id),
    )  # fmt: skip
    page = connection.execute(
        select(EVENTS)
        .where(columns.product == product, columns.owner == owner, behind)
        .order_by(columns.time, columns.received, columns.event_id)
        .limit(PAGE)
    )
    return [EventRow(**dict(zip(_COLUMNS, row, strict=True))) for row in page]


def prune_events(connection: Connection, product: str, before: int) -> int:
    """Delete up to a page of events that happened before a time; returns how many there were.

    Their owners' counts are reduced; an owner without any remaining data is deleted, too.
    """
    old = connection.execute(
        select(EVENTS.c.event_id, EVENTS.c.owner)
        .where(EVENTS.c.product == product, EVENTS.c.time < before)
        .order_by(EVENTS.c.time)
        .limit(PAGE)
    ).all()
    if not old:
        return 0
    connection.execute(
        delete(EVENTS).where(EVENTS.c.product == product, EVENTS.c.event_id.in_([event_id for event_id, _ in old]))
    )
    for owner, count in sorted(Counter(owner for _, owner in old).items()):
        this = and_(USERS.c.product == product, USERS.c.user_id == owner)
        connection.execute(update(USERS).where(this).values(event_count=USERS.c.event_count - count, stamp=new_stamp()))
        connection.execute(delete(USERS).where(this, USERS.c.event_count <= 0, USERS.c.profile.is_(None)))
    return len(old)
