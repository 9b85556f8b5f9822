"""All of a product's events at once, as a frame: COPY from PostgreSQL, large fetches from SQLite."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from cuvee.data.store.database import Database

__all__ = ["read_events"]

SCHEMA = {"owner": pl.String, "item_id": pl.String, "type": pl.Int16, "value": pl.Float64, "time": pl.Int64}
ORDERED = (
    "SELECT owner, item_id, type, value, time FROM cuvee_events WHERE product = {0} AND received <= {0} "
    "ORDER BY time, received, event_id"
)
LATEST = 2**63 - 1
ROWS = 100_000
"""That SQLite gives at a time."""


def read_events(database: Database, product: str, until: int = LATEST) -> pl.DataFrame:
    """Columns owner, item_id, type, value and time (microseconds), by ascending time, then order of receipt.

    Of what was received up to a time, in microseconds.

    Raises:
        UnavailableError: the database cannot be reached.
    """
    if database.sqlite:
        return database.read(lambda connection: _fetched(connection, product, until))
    return database.write(lambda connection: _copied(connection, product, until))


def _fetched(connection: Connection, product: str, until: int) -> pl.DataFrame:
    cursor = connection.exec_driver_sql(ORDERED.format("?"), (product, until)).cursor
    parts = [pl.DataFrame(schema=SCHEMA)]
    while cursor is not None and (rows := cursor.fetchmany(ROWS)):
        parts.append(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    return pl.concat(parts)


def _copied(connection: Connection, product: str, until: int) -> pl.DataFrame:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    driver: Any = connection.connection.driver_connection
    command = f"COPY ({ORDERED.format('%s')}) TO STDOUT (FORMAT csv)"
    data = io.BytesIO()
    with driver.cursor() as cursor, cursor.copy(command, (product, until)) as copy:
        for block in copy:
            data.write(block)
    if not data.tell():
        return pl.DataFrame(schema=SCHEMA)
    data.seek(0)
    return pl.read_csv(data, has_header=False, schema=SCHEMA)
