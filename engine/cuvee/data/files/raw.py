"""What a reader returns: rows as they are in the files, each with its file and line.

Only the form has been checked here: a row is malformed when it cannot be parsed (too few fields, letters
where a number belongs). :mod:`cuvee.data.files.cleaning` checks whether its content makes sense.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from cuvee.data.catalog import Role
from cuvee.pseudonyms import Pseudonyms

__all__ = [
    "FILE", "INTERACTION_COLUMNS", "LINE", "Part", "RawData", "RawEntities", "ReadOptions", "Reader", "Rows",
    "TimeUnit", "part_of",
]  # fmt: skip

LINE, FILE = "\0line", "\0file"
"""Names of the columns that carry the line number and, where a table has several parts, the part's
file; no file has columns of these names."""

MALFORMED_SCHEMA = {"part": pl.String, "file": pl.String, "line": pl.UInt32, "reason": pl.String}

INTERACTION_COLUMNS = ("user", "item", "time", "value", "weight", "order")
"""What a column of an interactions file can mean; ``user`` and ``item`` are needed, the others optional."""


class Part(enum.StrEnum):
    """What a file holds."""

    INTERACTIONS = "interactions"
    ITEMS = "items"
    USERS = "users"


def part_of(name: str) -> Part | None:
    """The part before the point of ``"items.title"``; None where there is none."""
    part, point, _ = name.partition(".")
    return Part(part) if point and part in list(Part) else None


class TimeUnit(enum.StrEnum):
    """What a number in a time column counts, since 1970."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def per_second(self) -> float:
        """How many of them make a second."""
        return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[self.value]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of the caller about a file; a reader ignores those that its layout already determines."""

    part: Part | None = None
    """What the file holds; None where the caller does not say, which means interactions in a mapped file."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name -> the file's: one of :data:`INTERACTION_COLUMNS`, or any name for a column of items or users.
    ``"items.item"`` means the items' file alone, and goes before ``"item"``."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Roles of columns of items and users, by our name; ``"items.year"`` means the items' column alone."""
    separator: str | None = None
    """Separator between the fields of a text file; None takes the most frequent usual one of the header."""
    list_separator: str = "|"
    """Separator between the labels inside one field."""
    time_unit: TimeUnit | None = None
    """Unit of numbers in a time column; None detects dates and Excel's days, and otherwise means seconds."""
    time_format: str | None = None
    """How times are written, as in ``strptime``, or ``"excel"``; None detects it."""
    decimal: str | None = None
    """The decimal mark of numbers in text, ``.`` or ``,``; None detects it."""
    encoding: str | None = None
    """Encoding of a text file; None uses its byte order mark, and UTF-8 without one."""

    def column(self, part: Part, name: str) -> str | None:
        """The file's column that the caller mapped to one of ours, or None."""
        return self.columns.get(f"{part}.{name}", self.columns.get(name))

    def demands(self, part: Part, name: str) -> bool:
        """Whether the mapped column must be there: it is one of interactions, or was mapped for this part alone."""
        return part is Part.INTERACTIONS or f"{part}.{name}" in self.columns

    def renamed(self, part: Part) -> dict[str, str]:
        """The file's name -> ours, of what was mapped for every file or for this part."""
        every = {theirs: ours for ours, theirs in self.columns.items() if part_of(ours) is None}
        own = {theirs: ours.partition(".")[2] for ours, theirs in self.columns.items() if part_of(ours) is part}
        return {**every, **own}

    def role(self, part: Part, name: str) -> Role | None:
        """The role that the caller gave a column, or None."""
        return self.roles.get(f"{part}.{name}", self.roles.get(name))


@dataclass(frozen=True)
class Rows:
    """The rows of one file on their way through a reader."""

    part: Part
    file: str
    frame: pl.DataFrame
    """The file's columns, and :data:`LINE`."""
    malformed: pl.DataFrame
    """Columns part, file, line, reason: the rows that were rejected, and why."""
    notes: tuple[str, ...] = ()
    """Notes on how columns and values were interpreted."""

    @classmethod
    def of(cls, part: Part, file: Path | str, frame: pl.DataFrame) -> Rows:
        """Rows of which none has been rejected yet."""
        return cls(part, str(file), frame, pl.DataFrame(schema=MALFORMED_SCHEMA))

    def tell(self, note: str) -> Rows:
        """The same rows with one more note, prefixed with the file's name."""
        return replace(self, notes=(*self.notes, f"{Path(self.file).name}: {note}"))

    def _file(self, frame: pl.DataFrame) -> pl.Expr:
        return (pl.col(FILE) if FILE in frame.columns else pl.lit(self.file)).alias("file")

    def complain(self, lines: pl.DataFrame, reason: pl.Expr) -> Rows:
        """The same rows, with one more rejected row for each one of ``lines``, a frame with :data:`LINE`."""
        found = lines.select(
            pl.lit(str(self.part)).alias("part"),
            self._file(lines),
            pl.col(LINE).cast(pl.UInt32).alias("line"),
            reason.cast(pl.String).alias("reason"),
        )
        return replace(self, malformed=pl.concat([self.malformed, found]))

    def reject(self, bad: pl.Expr, reason: pl.Expr) -> Rows:
        """Reject the rows where ``bad`` holds (null does not count)."""
        mask = self.frame.select(bad.fill_null(value=False).alias("bad")).to_series()
        if not mask.any():
            return self
        return replace(self.complain(self.frame.filter(mask), reason), frame=self.frame.filter(~mask))

    def cast(self, name: str, value: pl.Expr | pl.Series, kind: str) -> Rows:
        """Replace a column by ``value``, rejecting the rows where only ``value`` is null."""
        became = "\0became"
        held = replace(self, frame=self.frame.with_columns(value.alias(became)))
        held = held.reject(
            pl.col(became).is_null() & pl.col(name).is_not_null(),
            # not pl.format: it panics where a column begins with an empty chunk (polars 2)
            pl.lit(f"{name} '") + pl.col(name).cast(pl.String, strict=False).str.slice(0, 40) + f"' is not {kind}",
        )
        return replace(held, frame=held.frame.with_columns(pl.col(became).alias(name)).drop(became))

    def numbers(self, *names: str) -> Rows:
        """Turn text columns into Float64; an empty field becomes null, "nan" and "inf" are numbers."""
        rows = self
        for name in names:
            rows = rows.cast(name, pl.col(name).cast(pl.Float64, strict=False), "a number")
        return rows

    def interactions(self) -> RawData:
        """The result, with columns of :data:`INTERACTION_COLUMNS`."""
        known = [name for name in INTERACTION_COLUMNS if name in self.frame.columns]
        places = (self._file(self.frame), pl.col(LINE).cast(pl.UInt32).alias("line"))
        return RawData(self.frame.select(*known, *places), malformed=self._complaints(), notes=self.notes)

    def _complaints(self) -> pl.DataFrame:
        return self.malformed.sort("file", "line")

    def entities(self, roles: Mapping[str, Role]) -> RawData:
        """The result, with ``id`` and the columns that have a role."""
        places = self.frame.select(self._file(self.frame), pl.col(LINE).cast(pl.UInt32).alias("line"))
        found = RawEntities(self.frame.select("id", *roles), dict(roles), places)
        if self.part is Part.ITEMS:
            return RawData(items=found, malformed=self._complaints(), notes=self.notes)
        return RawData(users=found, malformed=self._complaints(), notes=self.notes)


@dataclass(frozen=True)
class RawEntities:
    """Items, or users, as a file gives them: ids may be empty or repeat."""

    frame: pl.DataFrame
    """Column ``id`` (String) first, then those of ``roles``."""
    roles: Mapping[str, Role]
    places: pl.DataFrame
    """Columns file, line; as many rows as ``frame``."""

    @classmethod
    def concat(cls, several: Sequence[RawEntities]) -> RawEntities:
        """One after another; columns are united."""
        return cls(
            pl.concat([e.frame for e in several], how="diagonal_relaxed"),
            {name: role for e in several for name, role in e.roles.items()},
            pl.concat([e.places for e in several]),
        )


def _no_interactions() -> pl.DataFrame:
    return pl.DataFrame(schema={"user": pl.String, "item": pl.String, "file": pl.String, "line": pl.UInt32})


@dataclass(frozen=True)
class RawData:
    """Everything that was read, from one file or several."""

    interactions: pl.DataFrame = field(default_factory=_no_interactions)
    """Columns user, item (String); of value, time (seconds since 1970), weight and order those that
    the file has (Float64, null where a field is empty); file (String) and line (UInt32)."""
    items: RawEntities | None = None
    users: RawEntities | None = None
    malformed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MALFORMED_SCHEMA))
    """Columns part, file, line (counted from 1; in Parquet the row), reason."""
    notes: tuple[str, ...] = ()
    """Notes for the user on how the reader interpreted columns and values."""

    def pseudonymised(self, pseudonyms: Pseudonyms) -> RawData:
        """The same with user ids replaced as ``[privacy]`` says; raises DataError where some use another key."""

        def replaced(frame: pl.DataFrame, column: str) -> pl.DataFrame:
            return frame.with_columns(pseudonyms.of_each(frame[column], "what is to be imported"))

        users = self.users and replace(self.users, frame=replaced(self.users.frame, "id"))
        return replace(self, interactions=replaced(self.interactions, "user"), users=users)

    @classmethod
    def concat(cls, several: Iterable[RawData]) -> RawData:
        """One after another."""
        parts = list(several)
        events = [p.interactions for p in parts if p.interactions.width and p.interactions.height]
        entities = {name: [e for p in parts if (e := getattr(p, name)) is not None] for name in ("items", "users")}
        return cls(
            interactions=pl.concat(events, how="diagonal") if events else _no_interactions(),
            items=RawEntities.concat(entities["items"]) if entities["items"] else None,
            users=RawEntities.concat(entities["users"]) if entities["users"] else None,
            malformed=pl.concat([p.malformed for p in parts]) if parts else pl.DataFrame(schema=MALFORMED_SCHEMA),
            notes=tuple(dict.fromkeys(note for p in parts for note in p.notes)),
        )


class Reader(ABC):
    """Reads one family of file layouts. A plugin registers its own by ``register_readers``."""

    expects: ClassVar[str]
    """What it reads, in words, for the message when nothing fits: "a folder with ratings.dat"."""
    general: ClassVar[bool] = False
    """Whether it reads any file of a kind, so that readers of a specific layout are preferred."""

    @classmethod
    @abstractmethod
    def sniff(cls, path: Path) -> bool:
        """Whether an existing file or folder has this layout. Reads only its beginning and never raises."""

    @abstractmethod
    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read a file or folder that exists.

        A malformed row goes to ``malformed`` and never stops the others. Raises
        :class:`cuvee.errors.DataError` where the file as a whole cannot be read.
        """
