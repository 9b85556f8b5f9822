"""Looks for an id everywhere: in each column of each table, and in the bytes of each file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path


def tables(url: str) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            yield from ((name, str(row)) for row in connection.execute(f"SELECT * FROM {name}"))
        connection.close()
        return
    import psycopg  # noqa: PLC0415 - the driver is an extra

    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in found:
            yield from ((name, text) for (text,) in connection.execute(f"SELECT t::text FROM {name} t"))  # type: ignore[arg-type]


def places(secret: str, url: str, *files: Path) -> set[str]:
    """Tables, and files below folders, that hold a text; a SQLite file, its log and free pages are among the files."""
    found = {name for name, row in tables(url) if secret in row}
    for given in files:
        for file in given.rglob("*") if given.is_dir() else [given]:
            if file.is_file() and secret.encode() in file.read_bytes():
                found.add(str(file.relative_to(given)) if given.is_dir() else file.name)
    return found
