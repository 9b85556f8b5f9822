"""The catalogue in memory: items and users, and their columns.

Polars frames over memory-mapped Arrow IPC files. Positions are row numbers; a catalogue only
ever grows at its end, so they never change their meaning.
"""

from __future__ import annotations

import enum
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from cuvee.data.flags import AVAILABLE, as_flags
from cuvee.data.ids import IdIndex
from cuvee.errors import DataError

__all__ = ["Catalog", "Entities", "Role", "readable"]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn any error while a dataset's file is read into a :class:`~cuvee.errors.DataError` that names the file."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path} cannot be read: {error}; import this dataset anew, with --replace") from error


MOST_TITLES = 100_000
"""Titles that are kept as texts, besides the column."""
FEW = 500
"""Values of a column that are read one by one."""


class Role(enum.StrEnum):
    """What a column means to recommenders."""

    TEXT = "text"
    """Free text: a title, a description."""
    CATEGORY = "category"
    """One label out of few: an occupation, a brand."""
    CATEGORIES = "categories"
    """Several labels: genres, tags. A list of strings."""
    NUMBER = "number"
    """A quantity: an age, a price, a year."""
    FLAG = "flag"
    """True or false."""
    VECTOR = "vector"
    """A ready-made embedding of any modality: an array of float32, of one length."""
    OTHER = "other"
    """Kept and shown, but ignored by recommenders: a link, a postcode."""


def infer_role(name: str, column: pl.Series) -> Role:
    """Guess a column's role from its type, and for strings from how much they repeat."""
    kind = column.dtype
    if kind == pl.Boolean:
        return Role.FLAG
    if kind.is_numeric():
        return Role.NUMBER
    if isinstance(kind, pl.List | pl.Array):
        return Role.CATEGORIES if kind.inner == pl.String else Role.VECTOR
    if kind != pl.String:
        return Role.OTHER
    if name in {"title", "name", "description", "text"}:
        return Role.TEXT
    few = column.n_unique() <= max(2, min(1000, len(column) // 5))
    return Role.CATEGORY if few else Role.TEXT


@dataclass(frozen=True)
class Entities:
    """The items, or the users, of a product: one row each."""

    frame: pl.DataFrame
    """Column ``id`` (String, unique) first, then any others."""
    roles: Mapping[str, Role]
    """The role of every column but ``id``."""

    def __post_init__(self) -> None:
        if self.frame.columns[:1] != ["id"] or self.frame.schema["id"] != pl.String:
            raise DataError("the first column of a catalogue frame must be 'id', of strings")
        if missing := set(self.frame.columns[1:]) ^ set(self.roles):
            raise DataError(f"columns and roles differ in: {', '.join(sorted(missing))}")

    @classmethod
    def of(cls, frame: pl.DataFrame, roles: Mapping[str, Role] | None = None) -> Entities:
        """Build from a frame, guessing the roles that are not given."""
        given = roles or {}
        names = frame.columns[1:]
        return cls(frame, {n: given[n] if n in given else infer_role(n, frame[n]) for n in names})

    @classmethod
    def of_ids(cls, ids: Iterable[str]) -> Entities:
        """Build from ids alone."""
        return cls(pl.DataFrame({"id": list(ids)}, schema={"id": pl.String}), {})

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def column_ids(self) -> pl.Series:
        """The column ``id``; taking it out of the frame each time costs more than reading it."""
        return self.frame["id"]

    @cached_property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the frame's columns, by name."""
        return dict(self.frame.schema)

    @cached_property
    def index(self) -> IdIndex:
        """The index from ids to positions. Built at first use: a million ids take most of a second."""
        return IdIndex(self.column_ids)

    def followed(self, frame: pl.DataFrame, roles: Mapping[str, Role]) -> Entities:
        """Entities with the same ids at the same positions, and perhaps more at the end.

        The index of ids, which costs more than a copy of the table, is extended rather than rebuilt.
        """
        new = Entities(frame, roles)
        new.__dict__["index"] = self.index.followed(new.column_ids)
        return new

    def flagged(self, name: str) -> Entities:
        """A copy with a column read as flags, if there is one; values that are no flag become null."""
        if self.frame.schema.get(name, pl.Boolean) == pl.Boolean:
            return self
        return self.followed(self.frame.with_columns(as_flags(self.frame[name])), {**self.roles, name: Role.FLAG})

    def position(self, name: str) -> int:
        """The position of an id, or -1."""
        return self.index.position(name, self.column_ids)

    def positions(self, ids: Sequence[str]) -> npt.NDArray[np.int32]:
        """int32[n]: the positions of ids, -1 where unknown."""
        return self.index.positions(ids, self.column_ids)

    def ids(self, positions: npt.ArrayLike) -> list[str]:
        """The ids at valid positions."""
        return _values(self.column_ids, positions)

    @cached_property
    def _labels(self) -> dict[str, tuple[IdIndex, pl.Series]]:
        return {}

    def indexed(self, name: str) -> bool:
        """Whether :meth:`has_label` was asked about a column, so that it answers at once."""
        return name in self._labels

    def has_label(self, name: str, value: str) -> bool:
        """Whether any row has a value in a column of labels (texts, or lists of texts).

        The first call for a column indexes its distinct values: of a million rows that takes a second.
        """
        if name not in self._labels:
            column = self.frame[name]
            column = (column.explode() if column.dtype.is_nested() else column).cast(pl.String).drop_nulls().unique()
            self._labels[name] = IdIndex(column), column
        index, values = self._labels[name]
        return index.position(value, values) >= 0

    def columns(self, *roles: Role) -> list[str]:
        """Names of the columns with one of the roles, in the frame's order."""
        return [name for name, role in self.roles.items() if role in roles]

    @cached_property
    def titles(self) -> pl.Series | None:
        """The column that people know the rows by, ``title`` or ``name``, if there is one of strings."""
        schema = self.frame.schema
        return next((self.frame[n] for n in ("title", "name") if schema.get(n) == pl.String), None)

    def titles_of(self, positions: npt.ArrayLike) -> list[str]:
        """The titles or names at valid positions; empty where there is none."""
        if self.titles is None:
            return [""] * len(np.asarray(positions))
        return [title or "" for title in _values(self.titles, positions)]

    def title(self, position: int) -> str:
        """What to call a row in words: its title or name, or its id without one."""
        known = self._known_titles.get(position)
        if known is None:
            found = self.titles[position] if self.titles is not None else None
            known = str(found or self.column_ids[position])
            if len(self._known_titles) >= MOST_TITLES:
                self._known_titles.clear()
            self._known_titles[position] = known
        return known

    @cached_property
    def _known_titles(self) -> dict[int, str]:
        """Titles that were asked for, by position: to read one value of a column takes 6 µs."""
        return {}

    def row(self, position: int) -> dict[str, object]:
        """One row as a dict, without its id; nulls left out."""
        values = zip(self.schema, self.frame.row(position), strict=True)
        return {name: value for name, value in values if name != "id" and value is not None}

    def upsert(self, frame: pl.DataFrame, roles: Mapping[str, Role] | None = None) -> Entities:
        """Update rows by id, and append new ids at the end. Columns are united.

        A column that ``frame`` lacks keeps its values; a null in ``frame`` overwrites nothing.
        """
        extra = {n: r for n, r in Entities.of(frame, roles).roles.items() if n not in self.roles}
        merged = self.frame.join(frame, on="id", how="full", coalesce=True, maintain_order="left_right", suffix="\0new")
        merged = merged.with_columns(
            pl.coalesce(f"{name}\0new", name).alias(name) for name in frame.columns if f"{name}\0new" in merged.columns
        ).select("id", *self.roles, *extra)
        return Entities(merged, {**self.roles, **extra})

    def same(self, other: Entities) -> bool:
        """Whether the other has the same rows and columns, in the same order and roles."""
        return dict(self.roles) == dict(other.roles) and self.frame.equals(other.frame)

    def without(self, gone: npt.NDArray[np.bool_]) -> Entities:
        """A copy without the rows marked in bool[n]; later rows move up.

        The texts of removed rows are dropped, too: a filtered frame shares its texts with the whole one, and
        saving it would write those of all rows into the file.
        """
        alone = io.BytesIO()
        self.frame.filter(pl.Series(~gone)).write_ipc(alone, compat_level=pl.CompatLevel.oldest())
        alone.seek(0)
        return Entities(pl.read_ipc(alone), self.roles)

    def digest(self, first: int | None = None) -> str:
        """sha256 over the first n ids (all by default), in order: a catalogue's identity for models."""
        ids = self.column_ids if first is None else self.column_ids.head(first)
        return hashlib.sha256(ids.str.join("\n").item().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write ``path`` (Arrow IPC, uncompressed, so that it can be memory-mapped) and its roles."""
        self.frame.write_ipc(path, compression="uncompressed")
        path.with_suffix(".roles.json").write_text(json.dumps(dict(self.roles), indent=1))

    @classmethod
    def load(cls, path: Path) -> Entities:
        """Read what :meth:`save` wrote, memory-mapped."""
        if not path.exists():
            raise DataError(f"{path} does not exist; run `cuvee import` first")
        with readable(path):
            roles = json.loads(path.with_suffix(".roles.json").read_text())
            return cls(pl.read_ipc(path), {k: Role(v) for k, v in roles.items()})


def _values(column: pl.Series, positions: npt.ArrayLike) -> list[Any]:
    """The values at some positions. A few are read one by one, which is cheaper than a gather."""
    wanted = np.asarray(positions)
    if len(wanted) < FEW:
        return [column[at] for at in wanted.tolist()]
    return column.gather(wanted.astype(np.int64, copy=False)).to_list()


@dataclass(frozen=True)
class Catalog:
    """A product's items and users."""

    items: Entities
    users: Entities

    def save(self, directory: Path) -> None:
        """Write ``items.arrow`` and ``users.arrow`` with their roles."""
        self.items.save(directory / "items.arrow")
        self.users.save(directory / "users.arrow")

    @classmethod
    def load(cls, directory: Path) -> Catalog:
        """Read what :meth:`save` wrote; ``available`` is a flag, also where an older import kept it otherwise."""
        items = Entities.load(directory / "items.arrow").flagged(AVAILABLE)
        return cls(items, Entities.load(directory / "users.arrow"))
