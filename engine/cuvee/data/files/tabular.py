"""Parquet and CSV files whose columns the caller maps to ours.

``columns`` says which column is the user, the item, the time and so on; where it does not, the
usual names are looked for. All other columns of an items or users file are kept, each with a role:
the one given, or one guessed from its values.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from cuvee.data.catalog import Role
from cuvee.data.files.columns.ids import as_ids, checked, without_point
from cuvee.data.files.columns.numbers import as_numbers, reads_as_numbers
from cuvee.data.files.columns.roles import as_role, guess
from cuvee.data.files.columns.times import as_seconds
from cuvee.data.files.delimited import read_delimited, split_header
from cuvee.data.files.packed import head
from cuvee.data.files.parts import joined, parquet_files, read_parts
from cuvee.data.files.raw import FILE, INTERACTION_COLUMNS, LINE, Part, RawData, Reader, ReadOptions, Rows, part_of
from cuvee.data.flags import AVAILABLE
from cuvee.errors import DataError

__all__ = ["CsvReader", "ParquetReader", "TableReader", "check_named", "found_column"]

USUAL: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid"),
    "item": ("item", "itemid", "iid", "movieid", "productid"),
    "time": ("time", "timestamp", "ts"),
    "value": ("value", "rating"),
    "weight": ("weight",),
    "order": (),
}
"""Names looked for where the caller maps none, in small letters without ``_``."""

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")
"""The names of an unnamed pandas index: after a round trip through CSV, and in Parquet."""


def _columns(rows: Rows) -> list[str]:
    return [name for name in rows.frame.columns if name not in {LINE, FILE}]


def found_column(rows: Rows, ours: str, options: ReadOptions, usual: tuple[str, ...]) -> str | None:
    """The file's column for one of ours: the mapped one, or the first with a usual name."""
    there = _columns(rows)
    if (mapped := options.column(rows.part, ours)) is not None:
        if mapped in there:
            return mapped
        if options.demands(rows.part, ours):
            other = {"item": Part.ITEMS, "user": Part.USERS}.get(ours)
            hint = ""
            if rows.part is Part.INTERACTIONS and other and f"{rows.part}.{ours}" not in options.columns:
                hint = f"; for the {other} file alone, say --map {other}.{ours}={mapped}"
            raise DataError(f"{rows.file} has no column {mapped!r} for the {ours}; it has: {', '.join(there)}{hint}")
    plain = {re.sub(r"[_\s#-]", "", name.lower()): name for name in reversed(there)}
    return next((plain[name] for name in usual if name in plain), None)


def check_named(rows: Rows, options: ReadOptions) -> None:
    """Raise :class:`DataError` where a column that was mapped for this part alone (``items.title``) is missing."""
    for name, theirs in options.columns.items():
        if part_of(name) is rows.part and theirs not in rows.frame.columns:
            there = ", ".join(_columns(rows))
            raise DataError(f"--map {name}={theirs}: {rows.file} has no column {theirs!r}; it has: {there}")


def _without_index(rows: Rows, options: ReadOptions) -> Rows:
    """Remove the columns of row numbers that pandas writes."""
    for name in _columns(rows):
        if name in options.columns.values() or not (INDEX.fullmatch(name) or not name.strip()):
            continue
        why = "numbers the rows" if name.strip() else "has no name"
        rows = replace(rows, frame=rows.frame.drop(name)).tell(f"column {name!r} {why} and is left out")
    return rows


def _in_time(column: pl.Series) -> bool:
    """Whether a column that orders the events does so by dates or moments."""
    return column.dtype in (pl.Date, pl.Datetime) or (column.dtype == pl.String and not reads_as_numbers(column))


def _ids(rows: Rows, name: str, was: pl.DataType) -> Rows:
    """A column of ids as text; ``was`` is its type in the file."""
    if was.is_nested():
        raise DataError(f"{rows.file}: column {name!r} is of type {was}; ids are text or numbers, one in a row")
    return checked(without_point(as_ids(rows, name), name), name)


def _no_names(names: list[str]) -> str:
    """A hint where a file's header looks like a row of data; else empty."""
    if not any(re.fullmatch(r"[-+]?\d[\d.,:T-]*", name) for name in names):
        return ""
    return "; or does the file have no header? Its first line must name the columns, as in user,item,time"


def _interactions(rows: Rows, options: ReadOptions, kinds: Mapping[str, pl.DataType]) -> RawData:
    found = {ours: theirs for ours in INTERACTION_COLUMNS if (theirs := found_column(rows, ours, options, USUAL[ours]))}
    for needed in ("user", "item"):
        if needed not in found:
            raise DataError(
                f"{rows.file} has no column that is plainly the {needed}; "
                f"say --map {needed}=COLUMN, one of: {', '.join(_columns(rows))}{_no_names(_columns(rows))}"
            )
    said = ", ".join(f"{ours} is {theirs!r}" for ours, theirs in found.items())
    places = [name for name in (LINE, FILE) if name in rows.frame.columns]
    rows = replace(rows, frame=rows.frame.select(*places, *(pl.col(v).alias(k) for k, v in found.items()))).tell(said)
    for name, theirs in found.items():
        if name in {"user", "item"}:
            rows = _ids(rows, name, kinds.get(theirs, rows.frame.schema[name]))
        elif name == "time":
            rows = as_seconds(rows, name, options.time_unit, options.time_format)
        elif name == "order" and _in_time(rows.frame[name]):
            rows = as_seconds(rows, name, None, options.time_format)
        else:
            rows = as_numbers(rows, name, options.decimal)
    return rows.interactions()


def _entities(rows: Rows, options: ReadOptions, kinds: Mapping[str, pl.DataType]) -> RawData:
    check_named(rows, options)
    kind = "item" if rows.part is Part.ITEMS else "user"
    own = found_column(rows, kind, options, ("id", *USUAL[kind]))
    if own is None:
        raise DataError(
            f"{rows.file} has no column that is plainly the {kind}'s id; "
            f"say --map {rows.part}.{kind}=COLUMN, one of: {', '.join(_columns(rows))}{_no_names(_columns(rows))}"
        )
    # an unmarked "weight" is that of interactions
    shared = {theirs for ours, theirs in options.columns.items() if ours in INTERACTION_COLUMNS}
    names = {theirs: ours for theirs, ours in options.renamed(rows.part).items() if theirs not in shared}
    ours = {own: "id", **{c: names.get(c, c) for c in _columns(rows) if c != own}}
    if rows.part is Part.ITEMS and AVAILABLE not in ours.values():
        flag = next((n for n in ours if n != own and n not in names and n.strip().lower() == AVAILABLE), None)
        if flag is not None:
            ours[flag] = AVAILABLE
            rows = rows.tell(f"{flag!r} is read as {AVAILABLE!r}, which says which items may be shown")
    if len(set(ours.values())) < len(ours):
        raise DataError(f"{rows.file}: two columns would be named alike; map them to different names")
    rows = _ids(replace(rows, frame=rows.frame.rename(ours)), "id", kinds.get(own, rows.frame.schema[own]))
    roles: dict[str, Role] = {}
    for theirs, name in ours.items():
        if name == "id":
            continue
        column = rows.frame[name]
        role = options.role(rows.part, name)
        if role is None and len(column) and column.null_count() == len(column):
            rows = rows.tell(f"{name} holds nothing and is left out")
            continue
        if rows.part is Part.ITEMS and name == AVAILABLE:
            if role not in {None, Role.FLAG}:
                raise DataError(
                    f"{rows.file}: {AVAILABLE!r} says which items may be shown and is always a flag, not {role}; "
                    f"leave --role {AVAILABLE}={role} out, import with --replace, or map it to another name"
                )
            role = Role.FLAG
        role = role or guess(name, column, options, kinds.get(theirs, column.dtype))
        rows = as_role(rows, name, role, options)
        if name in rows.frame.columns:
            roles[name] = role
    said = ", ".join(f"{name} is {role}" for name, role in roles.items())
    return rows.tell(f"the id is {own!r}" + (f", {said}" if said else "")).entities(roles)


def _shape(rows: Rows, options: ReadOptions, kinds: Mapping[str, pl.DataType]) -> RawData:
    rows = _without_index(rows, options)
    return _interactions(rows, options, kinds) if rows.part is Part.INTERACTIONS else _entities(rows, options, kinds)


class TableReader(Reader):
    """Parent of readers of plugins whose files hold one table: they give its rows, the rest is done here.

    Its columns are found, mapped and given roles as those of a Parquet file, by the options of ``cuvee import``.
    """

    @abstractmethod
    def table(self, path: Path) -> pl.DataFrame:
        """The rows of a file or folder that exists, with the file's own names of columns.

        Any exception says that the file as a whole cannot be read.
        """

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read one table.

        Raises:
            DataError: it cannot be read.
        """
        try:
            frame = self.table(path)
        except DataError:
            raise
        except (Exception, pl.exceptions.PanicException) as problem:
            raise DataError(f"{path} cannot be read; expected {self.expects}: {problem}") from problem
        frame, kinds, notes = joined(path, [(path, frame)], options.list_separator)
        rows = replace(Rows.of(options.part or Part.INTERACTIONS, path, frame), notes=notes)
        return _shape(rows, options, kinds)


class CsvReader(Reader):
    """Text with a header line, its fields separated by ``,``, tab, ``;`` or ``|``, packed or not."""

    expects: ClassVar[str] = "a .csv or .tsv file whose first line names the columns"
    general: ClassVar[bool] = True

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Whether it is named like one, or begins with lines of equally many fields."""
        lines = head(path) if path.is_file() else []
        if not lines:
            return False
        name = path.name.lower()
        for suffix in PACKED:
            name = name.removesuffix(suffix)
        names, _ = split_header(lines)
        return name.endswith(TEXT_SUFFIXES) or len([n for n in names if n]) > 1

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read one file."""
        part = options.part or Part.INTERACTIONS
        rows = read_delimited(path, part, separator=options.separator, quoted=True, encoding=options.encoding)
        return _shape(rows, options, {})


class ParquetReader(Reader):
    """A Parquet file, or a folder of them that make one table."""

    expects: ClassVar[str] = "a .parquet file, or a folder of them"

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Whether it begins as Parquet does, or is a folder with such files."""
        try:
            if path.is_dir():
                return bool(parquet_files(path))
            with path.open("rb") as file:
                return file.read(4) == b"PAR1"
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read one file, or the files of a folder in the order of their names."""
        frame, kinds, notes = read_parts(path, options.list_separator)
        rows = replace(Rows.of(options.part or Part.INTERACTIONS, path, frame), notes=notes)
        return _shape(rows, options, kinds)
