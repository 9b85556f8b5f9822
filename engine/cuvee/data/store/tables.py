"""The tables, as :mod:`cuvee.data.store.migrations` makes them.

Times are microseconds since the Unix epoch. Ids are compared by code point in either database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

__all__ = [
    "EVENTS",
    "EXPERIMENT_ANSWERS",
    "EXPOSURES",
    "FORGOTTEN",
    "HEADS",
    "IMPORTS",
    "ITEMS",
    "METADATA",
    "SECRETS",
    "USERS",
    "by_code_point",
]

METADATA = MetaData()


def by_code_point() -> Text:
    """Text that is compared by bytes, which in UTF-8 means by code points."""
    return Text().with_variant(Text(collation="C"), "postgresql")


_ELSEWHERE = text("session_id <> owner")
"""Events whose owner is not their session."""

EVENTS = Table(
    "cuvee_events",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("event_id", by_code_point(), primary_key=True),
    # the event's owner: the user, or the session while the user is unknown
    Column("owner", by_code_point(), nullable=False),
    Column("session_id", by_code_point()),
    Column("item_id", by_code_point(), nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("value", Float(53), nullable=False),
    Column("time", BigInteger, nullable=False),
    # events with equal times are ordered by receipt
    Column("received", BigInteger, nullable=False),
    Column("recommendation_id", by_code_point()),
    Column("position", Integer),
    Index("cuvee_events_of_owner", "product", "owner", "time", "received"),
    # for retention
    Index("cuvee_events_by_time", "product", "time"),
    # for servers that follow new events
    Index("cuvee_events_by_receipt", "product", "received"),
    # for removing a forgotten user's id from other users' events
    Index("cuvee_events_by_session", "product", "session_id", sqlite_where=_ELSEWHERE, postgresql_where=_ELSEWHERE),
)
"""One row per event that was acknowledged."""

USERS = Table(
    "cuvee_users",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("user_id", by_code_point(), primary_key=True),
    # JSON: {"attributes": {...}, "interests": {...}}; null for one who has events alone
    Column("profile", Text),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger),
    Column("event_count", BigInteger, nullable=False),
    # changes with every change of the user's events or profile, and never repeats a value
    Column("stamp", BigInteger, nullable=False),
)
"""One row per user with stored data. Its stamp shows whether a cached history is still valid."""

ITEMS = Table(
    "cuvee_items",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("item_id", by_code_point(), primary_key=True),
    Column("title", Text, nullable=False),
    # JSON: column -> text, number, flag, or list of texts
    Column("attributes", Text, nullable=False),
    Column("deleted", Boolean(create_constraint=False), nullable=False),
    Column("created", BigInteger),
    Column("updated", BigInteger, nullable=False),
    # the product's revision at which this row was written: a reader asks for rows above its own revision
    Column("revision", BigInteger, nullable=False),
    # the order in which items were first stored; it decides their positions, so it never changes
    Column("born", BigInteger, nullable=False),
    Index("cuvee_items_since", "product", "revision"),
)
"""Items that were upserted or deleted; imported items that were never changed are not here."""

HEADS = Table(
    "cuvee_heads",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("born", BigInteger, nullable=False),
    # how often users were forgotten: servers then read all events again
    Column("cleared", BigInteger, nullable=False, server_default="0"),
)
"""One row per product, locked by each writer of its items, so that revisions are committed in order."""

EXPOSURES = Table(
    "cuvee_exposures",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("recommendation_id", by_code_point(), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", by_code_point(), nullable=False),
    Column("time", BigInteger, nullable=False),
    # the source that contributed most, or that filled the position from the fallback chain
    Column("source", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("version", Text, nullable=False),
    Index("cuvee_exposures_by_time", "product", "time"),
)
"""One row per item of a stored answer. The user is not stored: events name the answer."""

EXPERIMENT_ANSWERS = Table(
    "cuvee_experiment_answers",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("recommendation_id", by_code_point(), primary_key=True),
    # by what the experiment chose the variant, as a keyed hash: users are counted, and nobody is named
    Column("unit", by_code_point(), nullable=False),
    # as in the answer: experiment/variant, joined with commas
    Column("variants", Text, nullable=False),
    Column("segment", Text, nullable=False),
    # how many were shown
    Column("items", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("cuvee_experiment_answers_by_time", "product", "time"),
    # for forgetting a user
    Index("cuvee_experiment_answers_of_unit", "product", "unit"),
)
"""One row per answer that was shown to a participant of an experiment."""

FORGOTTEN = Table(
    "cuvee_forgotten",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("digest", by_code_point(), primary_key=True),
    Column("time", BigInteger, nullable=False),
)
"""Users whose imported events and model rows are not used any more, by keyed hash of their id."""

IMPORTS = Table(
    "cuvee_imports",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    # of the file's content and of how it is read
    Column("digest", by_code_point(), primary_key=True),
    Column("rows", BigInteger, nullable=False),
)
"""The progress of unfinished imports, written in the same transactions as their rows."""

SECRETS = Table(
    "cuvee_secrets",
    METADATA,
    Column("name", by_code_point(), primary_key=True),
    Column("value", Text, nullable=False),
)
"""The key of those hashes, made once per store."""
