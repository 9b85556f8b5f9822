"""Exposures and their outcomes: the items of stored answers, joined with the events that name the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, delete, func, select, text

from cuvee.data.store.events import PAGE, insert_into
from cuvee.data.store.rows import EventType, ExposureRow
from cuvee.data.store.tables import EVENTS, EXPOSURES

__all__ = ["GROUPS", "Outcome", "outcomes", "prune_exposures", "write_exposures"]

GROUPS = ("source", "segment", "kind", "variant", "position", "version")
"""What outcomes can be grouped by."""
CLICKS = (EventType.CLICK, EventType.FAVOURITE, EventType.PURCHASE, EventType.RATING)
"""Event types that count as a response to a shown item; a VIEW alone may only mean that it was displayed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one group of shown items."""

    group: str
    answers: int
    shown: int
    """Items."""
    clicked: int
    """Items with an event beyond a view that names the answer."""
    bought: int
    """Items with a purchase that names the answer."""


def write_exposures(connection: Connection, rows: Sequence[ExposureRow]) -> None:
    """Store exposures."""
    if rows:
        connection.execute(insert_into(connection, EXPOSURES).on_conflict_do_nothing(), [asdict(row) for row in rows])


def prune_exposures(connection: Connection, product: str, before: int) -> int:
    """Delete a page of answers that were shown before a time, always whole answers; returns the number of rows."""
    old = (
        select(EXPOSURES.c.recommendation_id)
        .where(EXPOSURES.c.product == product, EXPOSURES.c.time < before)
        .order_by(EXPOSURES.c.time)
        .limit(PAGE)
    )
    ids = sorted(set(connection.execute(old).scalars()))
    these = delete(EXPOSURES).where(EXPOSURES.c.product == product, EXPOSURES.c.recommendation_id.in_(ids))
    return connection.execute(these).rowcount if ids else 0


def outcomes(connection: Connection, product: str, by: str, since: int) -> list[Outcome]:
    """The outcomes of what was shown since a time (microseconds), by one of :data:`GROUPS`."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    taken = (
        select(
            EVENTS.c.recommendation_id,
            EVENTS.c.item_id,
            func.max(case((EVENTS.c.type.in_([int(kind) for kind in CLICKS]), 1), else_=0)).label("clicked"),
            func.max(case((EVENTS.c.type == int(EventType.PURCHASE), 1), else_=0)).label("bought"),
        )
        .where(EVENTS.c.product == product, EVENTS.c.recommendation_id.is_not(None))
        .group_by(EVENTS.c.recommendation_id, EVENTS.c.item_id)
        .subquery()
    )
    group = EXPOSURES.c[by]
    both = (taken.c.recommendation_id == EXPOSURES.c.recommendation_id) & (taken.c.item_id == EXPOSURES.c.item_id)
    query = (
        select(
            group,
            func.count(EXPOSURES.c.recommendation_id.distinct()),
            func.count(),
            func.coalesce(func.sum(taken.c.clicked), 0),
            func.coalesce(func.sum(taken.c.bought), 0),
        )
        .select_from(EXPOSURES.outerjoin(taken, both))
        .where(EXPOSURES.c.product == product, EXPOSURES.c.time >= since)
        .group_by(group)
        .order_by(group)
    )
    return [
        Outcome(str(name), int(answers), int(shown), int(clicked), int(bought))
        for name, answers, shown, clicked, bought in connection.execute(query)
    ]
