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
    """Text whose order and equality are those of its bytes, which in UTF-8 is the order of code points."""
    return Text().with_variant(Text(collation="C"), "postgresql")


_ELSEWHERE = text("session_id <> owner")
"""Events that belong to somebody else than to their session."""

EVENTS = Table(
    "cuvee_events",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("event_id", by_code_point(), primary_key=True),
    # whom the event belongs to: the user, or the session while nobody knows who it is
    Column("owner", by_code_point(), nullable=False),
    Column("session_id", by_code_point()),
    Column("item_id", by_code_point(), nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("value", Float(53), nullable=False),
    Column("time", BigInteger, nullable=False),
    # of two events at one time the one that was received first comes first
    Column("received", BigInteger, nullable=False),
    Column("recommendation_id", by_code_point()),
    Column("position", Integer),
    Index("cuvee_events_of_owner", "product", "owner", "time", "received"),
    # what is too old is found by it
    Index("cuvee_events_by_time", "product", "time"),
    # who counts along follows it
    Index("cuvee_events_by_receipt", "product", "received"),
    # who is forgotten is taken out of the events of others by it
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
    # changes with every change of the user's events or profile, never to a value that it had before
    Column("stamp", BigInteger, nullable=False),
)
"""One row per user of whom anything is stored. Reading a row tells whether a cached history still holds."""

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
    # the product's revision that this row came with: what is above a reader's own is new to it
    Column("revision", BigInteger, nullable=False),
    # the order in which items came to the store; it gives positions, so it never changes
    Column("born", BigInteger, nullable=False),
    Index("cuvee_items_since", "product", "revision"),
)
"""Items that were upserted or deleted; what was imported and never touched is not here."""

HEADS = Table(
    "cuvee_heads",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("born", BigInteger, nullable=False),
    # how often users were forgotten: who counts along counts anew
    Column("cleared", BigInteger, nullable=False, server_default="0"),
)
"""One row per product, locked by who writes its items: revisions are committed in their order."""

EXPOSURES = Table(
    "cuvee_exposures",
    METADATA,
    Column("product", by_code_point(), primary_key=True),
    Column("recommendation_id", by_code_point(), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", by_code_point(), nullable=False),
    Column("time", BigInteger, nullable=False),
    # which contributed most, or filled the place from the fallback chain
    Column("source", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("version", Text, nullable=False),
    Index("cuvee_exposures_by_time", "product", "time"),
)
"""One row per item of an answer that was kept. Of whose answer it was, nothing: events name the answer."""

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
"""How far imports have come that were not finished; written with the rows themselves."""

SECRETS = Table(
    "cuvee_secrets",
    METADATA,
    Column("name", by_code_point(), primary_key=True),
    Column("value", Text, nullable=False),
)
"""The key of those hashes, made once per store."""
