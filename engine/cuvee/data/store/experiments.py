"""Answers to participants of experiments, and what each participant did with them: joined by the answers' ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, case, delete, func, select, text

from cuvee.data.store.catalogue.users import digest_of
from cuvee.data.store.events import PAGE, insert_into
from cuvee.data.store.exposures import CLICKS
from cuvee.data.store.rows import EventType, ExperimentAnswerRow
from cuvee.data.store.tables import EVENTS, EXPERIMENT_ANSWERS

__all__ = ["Participant", "participants", "prune_answers", "write_answers"]


@dataclass(frozen=True, slots=True)
class Participant:
    """One unit of an experiment, in one variant and segment: what it was shown, and what it did with that."""

    unit: str
    variant: str
    """Without the experiment's name."""
    segment: str
    first: int
    """When it was first shown something, in microseconds."""
    answers: int
    shown: int
    """Items."""
    clicked: int
    """Items of an answer with an event beyond a view that names the answer."""
    bought: int
    """Items of an answer with a purchase that names it."""
    events: int
    """Events beyond views and dismissals that name an answer."""
    value: float
    """The sum of the values of the purchases among them."""


def write_answers(connection: Connection, rows: Sequence[ExperimentAnswerRow], key: bytes) -> None:
    """Store answers; their units are stored as hashes, keyed by ``key``."""
    if rows:
        hashed = [asdict(replace(row, unit=digest_of(key, row.unit))) for row in rows]
        connection.execute(insert_into(connection, EXPERIMENT_ANSWERS).on_conflict_do_nothing(), hashed)


def prune_answers(connection: Connection, product: str, before: int) -> int:
    """Delete a page of answers from before a time; returns how many."""
    table = EXPERIMENT_ANSWERS.c
    old = (
        select(table.recommendation_id).where(table.product == product, table.time < before)
        .order_by(table.time).limit(PAGE)
    )  # fmt: skip
    ids = sorted(connection.execute(old).scalars())
    these = delete(EXPERIMENT_ANSWERS).where(table.product == product, table.recommendation_id.in_(ids))
    return connection.execute(these).rowcount if ids else 0


def participants(connection: Connection, product: str, experiment: str, since: int) -> Iterator[Participant]:
    """Those of an experiment since a time (microseconds), one for each variant and segment that a unit was in.

    Whoever saw two variants, or came into another segment, is there several times.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    responded = EVENTS.c.type.in_([int(kind) for kind in CLICKS])
    purchase = EVENTS.c.type == int(EventType.PURCHASE)
    # answers that were deleted leave events behind, and an index by time finds the others
    done = (
        select(
            EVENTS.c.recommendation_id,
            func.count(case((responded, EVENTS.c.item_id)).distinct()).label("clicked"),
            func.count(case((purchase, EVENTS.c.item_id)).distinct()).label("bought"),
            func.sum(case((responded, 1), else_=0)).label("events"),
            func.sum(case((purchase, EVENTS.c.value), else_=0.0)).label("value"),
        )
        .where(EVENTS.c.product == product, EVENTS.c.recommendation_id.is_not(None))
        .group_by(EVENTS.c.recommendation_id)
        .subquery()
    )
    answers = EXPERIMENT_ANSWERS.c
    query = (
        select(
            answers.unit,
            answers.variants,
            answers.segment,
            func.min(answers.time),
            func.count(),
            func.sum(answers["items"]),
            *(func.coalesce(func.sum(done.c[name]), 0) for name in ("clicked", "bought", "events", "value")),
        )
        .select_from(EXPERIMENT_ANSWERS.outerjoin(done, done.c.recommendation_id == answers.recommendation_id))
        .where(answers.product == product, answers.time >= since, answers.variants.contains(f"{experiment}/"))
        .group_by(answers.unit, answers.variants, answers.segment)
    )
    for unit, variants, segment, first, shown, items, clicked, bought, events, value in connection.execute(query):
        for label in variants.split(","):
            name, _, variant = label.partition("/")
            if name == experiment:
                yield Participant(
                    unit, variant, segment, int(first), int(shown), int(items), int(clicked), int(bought),
                    int(events), float(value),
                )  # fmt: skip
