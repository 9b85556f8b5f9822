"""A user's files as tables, before anything is known about their columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cuvee.data.files.delimited import read_delimited
from cuvee.data.files.movielens import MovieLensReader
from cuvee.data.files.packed import text_lines
from cuvee.data.files.parts import read_parts
from cuvee.data.files.raw import FILE, LINE, Part, ReadOptions
from cuvee.data.files.readers import choose
from cuvee.data.files.tabular import CsvReader
from cuvee.errors import DataError

__all__ = ["Layout", "Table", "opened"]

WESTERN = "cp1252"
"""The encoding of a text that is not UTF-8, as Windows writes it; Latin-1 is part of it."""


@dataclass(frozen=True)
class Table:
    """A CSV or Parquet file whose columns are to be understood."""

    path: Path
    frame: pl.DataFrame
    """Its columns as the importer reads them: text for CSV, a few plain types for Parquet."""
    encoding: str | None = None
    """Set where the text is not UTF-8."""


@dataclass(frozen=True)
class Layout:
    """A file or folder of a public layout, whose columns need not be guessed."""

    path: Path
    parts: frozenset[Part]
    """What it holds."""
    items: pl.Series
    """The ids of its items, each once; empty where it has none. String."""
    users: pl.Series


def opened(path: Path) -> Table | Layout:
    """Read a file or folder.

    Raises:
        DataError: it does not exist, is no CSV or Parquet, has no rows, or no header.
    """
    reader = choose(path)
    if isinstance(reader, MovieLensReader):
        raw = reader.read(path, ReadOptions())
        held = {Part.ITEMS: raw.items is not None, Part.USERS: raw.users is not None}
        held[Part.INTERACTIONS] = len(raw.interactions) > 0
        items = raw.items.frame["id"] if raw.items else raw.interactions["item"]
        users = raw.users.frame["id"] if raw.users else raw.interactions["user"]
        return Layout(path, frozenset(part for part, there in held.items() if there), items.unique(), users.unique())
    encoding = _encoding(path) if isinstance(reader, CsvReader) else None
    if isinstance(reader, CsvReader):
        frame = read_delimited(path, Part.INTERACTIONS, quoted=True, encoding=encoding).frame
    else:
        frame, _, _ = read_parts(path, "|")
    frame = frame.drop(LINE, FILE, strict=False)
    if not len(frame):
        raise DataError(f"{path} names columns and has no rows; there is nothing to start with")
    if any(name.replace(".", "").replace("-", "").isdigit() for name in frame.columns):
        names = ", ".join(frame.columns)
        raise DataError(
            f"{path} has no header: its first line is {names}. Write a line with the columns' names above it, such as "
            "user,item,time"
        )
    return Table(path, frame, encoding)


def _encoding(path: Path) -> str | None:
    """None for UTF-8 and what is marked as UTF-16 or UTF-32."""
    _, undecodable = text_lines(path, None, None)
    return WESTERN if undecodable else None
