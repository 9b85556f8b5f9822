"""Whose lists: everybody of a product, those of a filter, or those of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from cuvee.data.catalog import Entities
from cuvee.data.filters import compile_filter
from cuvee.data.store import Store
from cuvee.data.store.catalogue.overlay import matching
from cuvee.data.store.rows import UserRow
from cuvee.errors import DataError
from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.fields import LONGEST_ID

__all__ = ["digest_of", "everyone", "from_file"]

PAGE = 5_000
"""Users of the store that are read at a time."""
COLUMNS = ("user_id", "user", "id")
"""The columns of a Parquet or CSV file that may hold the ids, the first that is there."""


def everyone(users: Entities, store: Store | None, product: str, where: str = "") -> pl.Series:
    """The ids of all users that ListUsers would show, or of those for whom a condition is true; by code point.

    Args:
        users: as imported.
        store: adds users, and says who of the imported ones was deleted.
        product: whose users of the store.
        where: a SQL condition on users' columns; a stored profile counts in place of the imported one.

    Raises:
        InvalidArgument: the condition is wrong.
        UnavailableError: the store cannot be reached.
    """
    ids = users.column_ids
    wanted = compile_filter(where, users, field="where").mask.copy() if where else np.ones(len(users), np.bool_)
    if store is None:
        return ids.filter(pl.Series(wanted)).sort().alias("user_id")
    gone = np.zeros(len(users), np.bool_)
    if store.someone_forgotten(product):
        forgotten = store.forgotten(product)
        gone = np.fromiter((forgotten(one) for one in ids), np.bool_, len(ids))
    wanted &= ~gone
    added: list[str] = []
    for rows in _pages(store, product):
        places = users.positions([row.user_id for row in rows]).tolist()
        placed = zip(rows, places, strict=True)
        # of all others, what was imported holds
        own = [(row, at) for row, at in placed if row.updated is not None or at < 0 or gone[at]]
        wanted[[at for _, at in own if at >= 0]] = False
        fits = matching([row for row, _ in own], where, users)
        added += [row.user_id for (row, _), fit in zip(own, fits, strict=True) if fit]
    return pl.concat([ids.filter(pl.Series(wanted)).alias("user_id"), pl.Series("user_id", added, pl.String)]).sort()


def _pages(store: Store, product: str) -> Iterator[list[UserRow]]:
    after = ""
    while rows := store.users(product, after, PAGE):
        yield rows
        after = rows[-1].user_id


def from_file(file: Path, pseudonyms: Pseudonyms) -> pl.Series:
    """The ids of a file, each once, in its order: Parquet or CSV with a column ``user_id``, or one id a line.

    Raises:
        DataError: it cannot be read, has no such column, or an id is none.
    """
    try:
        ids = _column(file)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
        raise DataError(f"{file} cannot be read: {problem}") from problem
    ids = ids.drop_nulls().unique(maintain_order=True)
    wrong = ids.filter((ids.str.len_chars() > LONGEST_ID) | ids.str.contains("\0", literal=True) | (ids == ""))
    if len(wrong):
        raise DataError(f"{file}: {wrong[0][:40]!r} is no user's id (1 to {LONGEST_ID} characters, without NUL)")
    if not len(ids):
        raise DataError(f"{file} holds no ids")
    return pseudonyms.of_each(ids, str(file)).alias("user_id")


def _column(file: Path) -> pl.Series:
    if file.suffix not in {".parquet", ".csv"}:
        lines = (line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
        return pl.Series("user_id", [line for line in lines if line], pl.String)
    frame = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False)
    named = next((name for name in COLUMNS if name in frame.columns), None)
    if named is None:
        there = ", ".join(frame.columns)
        raise DataError(f"{file} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}; there are: {there}")
    return frame[named].cast(pl.String)


def digest_of(ids: pl.Series) -> str:
    """sha256 of ids in their order."""
    found = hashlib.sha256()
    for one in ids:
        found.update(one.encode() + b"\0")
    return found.hexdigest()
