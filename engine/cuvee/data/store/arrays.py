"""Many rows into PostgreSQL in one statement of one array per column.

A VALUES list of a thousand rows has as many placeholders as cells, and the driver parses the statement
for them each time, which costs more than storing the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Table, TextClause, text
from sqlalchemy.dialects import postgresql

__all__ = ["insert_arrays"]


@cache
def _statement(table: Table, columns: tuple[str, ...], tail: str) -> TextClause:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    kinds = {name: table.c[name].type.compile(dialect).partition(" COLLATE")[0] for name in columns}
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in kinds.items())
    return text(f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({arrays}) {tail}")  # noqa: S608


def insert_arrays(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], tail: str
) -> CursorResult[Any]:
    """Insert rows, all with the same columns, in their order.

    ``tail`` is the rest of the statement after the rows: ON CONFLICT and RETURNING.
    """
    columns = tuple(rows[0])
    return connection.execute(_statement(table, columns, tail), {name: [row[name] for row in rows] for name in columns})
