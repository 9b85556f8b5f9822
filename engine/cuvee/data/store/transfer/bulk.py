"""Many events at once, as frames: COPY out of and into PostgreSQL, large fetches and inserts in SQLite."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from cuvee.data.store.database import Database
from cuvee.data.store.events import ADDED

__all__ = ["events_page", "insert_events", "read_events"]

SCHEMA = {"owner": pl.String, "item_id": pl.String, "type": pl.Int16, "value": pl.Float64, "time": pl.Int64}
ORDERED = (
    "SELECT owner, item_id, type, value, time FROM cuvee_events WHERE product = {0} AND received <= {0} "
    "ORDER BY time, received, event_id"
)
WHOLE = {
    "product": pl.String, "event_id": pl.String, "owner": pl.String, "session_id": pl.String, "item_id": pl.String,
    "type": pl.Int16, "value": pl.Float64, "time": pl.Int64, "received": pl.Int64, "recommendation_id": pl.String,
    "position": pl.Int32,
}  # fmt: skip
"""Every column of ``cuvee_events``."""
COLUMNS = ", ".join(WHOLE)
PAGE = (
    f"SELECT {COLUMNS} FROM cuvee_events WHERE product = {{0}} AND received >= {{0}} "  # noqa: S608 - our own names
    "AND (received > {0} OR event_id > {0}) ORDER BY received, event_id LIMIT {0}"
)
COUNTED = """
INSERT INTO cuvee_users (product, user_id, created, event_count, stamp)
SELECT product, owner, min(received), count(*), {stamp} FROM {new} GROUP BY product, owner ORDER BY owner
"""
"""The statement that adds new events to their owners' counts and gives each owner a new stamp."""
CACHE = 64 * 1024
"""SQLite's page cache during a bulk insert, in kibibytes."""
LATEST = 2**63 - 1
ROWS = 100_000
"""How many rows are fetched from SQLite at a time."""


def read_events(database: Database, product: str, until: int = LATEST) -> pl.DataFrame:
    """Columns owner, item_id, type, value and time (microseconds), by ascending time, then order of receipt.

    Only events that were received up to a time, in microseconds.

    Raises:
        UnavailableError: the database cannot be reached.
    """
    return _read(database, ORDERED, (product, until), SCHEMA)


def events_page(database: Database, product: str, after: tuple[int, str], most: int) -> pl.DataFrame:
    """Events received after a time, or at that time with a larger event id, in that order: every column.

    Raises:
        UnavailableError: the database cannot be reached.
    """
    received, event_id = after
    return _read(database, PAGE, (product, received, received, event_id, most), WHOLE)


def _read(database: Database, query: str, given: tuple[object, ...], schema: dict[str, Any]) -> pl.DataFrame:
    if database.sqlite:
        return database.read(lambda connection: _fetched(connection, query.format("?"), given, schema))
    return database.write(lambda connection: _copied(connection, query.format("%s"), given, schema))


def _fetched(connection: Connection, query: str, given: tuple[object, ...], schema: dict[str, Any]) -> pl.DataFrame:
    cursor = connection.exec_driver_sql(query, given).cursor
    parts = [pl.DataFrame(schema=schema)]
    while cursor is not None and (rows := cursor.fetchmany(ROWS)):
        parts.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(parts)


def _copied(connection: Connection, query: str, given: tuple[object, ...], schema: dict[str, Any]) -> pl.DataFrame:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    driver: Any = connection.connection.driver_connection
    data = io.BytesIO()
    with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)", given) as copy:
        for block in copy:
            data.write(block)
    if not data.tell():
        return pl.DataFrame(schema=schema)
    data.seek(0)
    return pl.read_csv(data, has_header=False, schema=schema)


def insert_events(connection: Connection, frame: pl.DataFrame) -> int:
    """Store events with the columns of ``cuvee_events``, of several with one id the first; returns how many are new."""
    if frame.is_empty():
        return 0
    ordered = frame.select(*WHOLE).sort("event_id", maintain_order=True)
    if connection.dialect.name == "sqlite":
        return _inserted(connection, ordered)
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("CREATE TEMPORARY TABLE cuvee_incoming (LIKE cuvee_events) ON COMMIT DROP"))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY cuvee_incoming ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
        copy.write(ordered.write_csv(include_header=False, quote_style="non_numeric").encode())
    counted = COUNTED.format(stamp="(random() * 4611686018427387903)::bigint", new="new") + ADDED
    found: int = connection.execute(
        text(
            f"WITH new AS (INSERT INTO cuvee_events ({COLUMNS}) SELECT {COLUMNS} FROM cuvee_incoming ORDER BY event_id "  # noqa: S608
            f"ON CONFLICT DO NOTHING RETURNING *), counted AS ({counted}) SELECT count(*) FROM new"
        )
    ).scalar_one()
    return found


def _inserted(connection: Connection, frame: pl.DataFrame) -> int:
    # ids are in random order, so each batch touches pages all over the file
    connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE}")
    # there is only one writer at a time, and a new row's number is above all existing ones
    last = connection.exec_driver_sql("SELECT coalesce(max(rowid), 0) FROM cuvee_events").scalar_one()
    places = ", ".join("?" * len(WHOLE))
    connection.exec_driver_sql(
        f"INSERT INTO cuvee_events ({COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608 - as above
        frame.rows(),
    )
    new = f"cuvee_events WHERE rowid > {last}"
    connection.exec_driver_sql(COUNTED.format(stamp="random() & 4611686018427387903", new=new) + ADDED)
    found: int = connection.exec_driver_sql(f"SELECT count(*) FROM {new}").scalar_one()  # noqa: S608 - as above
    return found
