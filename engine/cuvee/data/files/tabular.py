"""Parquet and CSV files whose columns the caller maps to ours.

``columns`` says which column is the user, the item, the time and so on; where it does not, the
usual names are looked for. All other columns of an items or users file are kept, each with a role:
the one given, or one guessed from its values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from cuvee.data.catalog import Role, infer_role
from cuvee.data.files.delimited import head, read_delimited, split_header
from cuvee.data.files.raw import INTERACTION_COLUMNS, LINE, Part, RawData, Reader, ReadOptions, Rows, TimeUnit, part_of
from cuvee.errors import DataError

__all__ = ["CsvReader", "ParquetReader", "as_ids", "as_numbers", "as_seconds", "check_named", "found_column"]

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
DATES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
TRUE, FALSE = ("true", "yes", "1", "t", "y"), ("false", "no", "0", "f", "n")


def _columns(rows: Rows) -> list[str]:
    return [name for name in rows.frame.columns if name != LINE]


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
    plain = {re.sub(r"[_\s-]", "", name.lower()): name for name in reversed(there)}
    return next((plain[name] for name in usual if name in plain), None)


def check_named(rows: Rows, options: ReadOptions) -> None:
    """Raise :class:`DataError` where a column that was mapped for this part alone (``items.title``) is missing."""
    for name, theirs in options.columns.items():
        if part_of(name) is rows.part and theirs not in rows.frame.columns:
            there = ", ".join(_columns(rows))
            raise DataError(f"--map {name}={theirs}: {rows.file} has no column {theirs!r}; it has: {there}")


def as_ids(rows: Rows, name: str) -> Rows:
    """Ids as text: whole numbers without a point, whatever number type they came in."""
    kind = rows.frame.schema[name]
    value = pl.col(name)
    if kind.is_float():
        whole = value.cast(pl.Int64, strict=False)
        value = pl.when(value == whole).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
    elif kind.is_nested() or kind == pl.Binary:
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; ids are text or numbers")
    return replace(rows, frame=rows.frame.with_columns(value.cast(pl.String).alias(name)))


def as_numbers(rows: Rows, name: str) -> Rows:
    """A column as Float64, rows that hold something else being malformed."""
    kind = rows.frame.schema[name]
    if not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; expected numbers")
    return rows.numbers(name)


def as_seconds(rows: Rows, name: str, unit: TimeUnit) -> Rows:
    """Seconds since 1970 from numbers in ``unit``, from dates, or from text of either; no zone means UTC."""
    kind = rows.frame.schema[name]
    value = pl.col(name)
    if kind in (pl.Date, pl.Datetime):
        seconds = value.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
        return replace(rows, frame=rows.frame.with_columns(seconds.alias(name)))
    number = value.cast(pl.Float64, strict=False) / unit.per_second
    if kind == pl.String:
        if rows.frame.select((number.is_null() & value.is_not_null()).any()).item():
            text = value.str.replace("T", " ", literal=True)
            zoned = text.str.replace(r"Z$", "+00:00").str.to_datetime(
                "%Y-%m-%d %H:%M:%S%.f%:z", strict=False, time_unit="us", time_zone="UTC"
            )
            naive = [text.str.to_datetime(f, strict=False, time_unit="us") for f in DATES]
            number = pl.coalesce(number, *(date.dt.epoch("us") / 1e6 for date in (zoned, *naive)))
        return rows.cast(name, number, "a time: seconds since 1970, or like 2031-05-30 18:45:00")
    rows = as_numbers(rows, name)
    return replace(rows, frame=rows.frame.with_columns(number.alias(name)))


def _interactions(rows: Rows, options: ReadOptions) -> RawData:
    found = {ours: theirs for ours in INTERACTION_COLUMNS if (theirs := found_column(rows, ours, options, USUAL[ours]))}
    for needed in ("user", "item"):
        if needed not in found:
            raise DataError(
                f"{rows.file} has no column that is plainly the {needed}; "
                f"say --map {needed}=COLUMN, one of: {', '.join(_columns(rows))}"
            )
    rows = replace(rows, frame=rows.frame.select(LINE, *(pl.col(v).alias(k) for k, v in found.items())))
    for name in found:
        if name in {"user", "item"}:
            rows = as_ids(rows, name)
        elif name == "time":
            rows = as_seconds(rows, name, options.time_unit)
        else:
            rows = as_numbers(rows, name)
    said = ", ".join(f"{ours} is {theirs!r}" for ours, theirs in found.items())
    return replace(rows.interactions(), notes=(f"{Path(rows.file).name}: {said}",))


def _guess(name: str, column: pl.Series, list_separator: str) -> Role:
    """A role from a column's values, looking into text for numbers, flags and lists."""
    kind = column.dtype
    if isinstance(kind, pl.List) and kind.inner.is_integer():
        return Role.CATEGORIES
    if isinstance(kind, pl.List) and column.list.len().drop_nulls().n_unique() > 1 and kind.inner != pl.String:
        return Role.OTHER
    given = column.drop_nulls()
    if kind != pl.String or not len(given):
        return infer_role(name, column)
    numeric = given.str.contains(r"^[+-]?(?:0|[1-9]\d*|\d*\.\d+|[1-9]\d*\.)(?:[eE][+-]?\d+)?$").all()
    if numeric:
        return Role.NUMBER
    if given.str.to_lowercase().is_in(["true", "false", "yes", "no"]).all():
        return Role.FLAG
    role = infer_role(name, column)
    listed = given.str.contains(list_separator, literal=True).any()
    return Role.CATEGORIES if listed and name not in {"title", "name", "description", "text"} else role


def _as_number(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (one signature for all roles)
    if rows.frame.schema[name].is_integer():
        return rows
    rows = as_numbers(rows, name)
    whole = rows.frame.select((pl.col(name) == pl.col(name).cast(pl.Int64, strict=False)).all()).item()
    return replace(rows, frame=rows.frame.with_columns(pl.col(name).cast(pl.Int64))) if whole else rows


def _as_flag(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (the same)
    text = pl.col(name).cast(pl.String).str.to_lowercase()
    flag = pl.when(text.is_in(TRUE)).then(statement=True).when(text.is_in(FALSE)).then(statement=False)
    return rows.cast(name, flag, "true or false")


def _as_labels(rows: Rows, name: str, options: ReadOptions) -> Rows:
    value = pl.col(name)
    if not isinstance(rows.frame.schema[name], pl.List | pl.Array):
        value = value.cast(pl.String).str.split(options.list_separator)
    value = value.cast(pl.List(pl.String)).list.eval(pl.element().str.strip_chars())
    value = value.list.eval(pl.element().filter(pl.element() != ""))
    return replace(rows, frame=rows.frame.with_columns(value.alias(name)))


def _as_vector(rows: Rows, name: str, options: ReadOptions) -> Rows:
    kind = rows.frame.schema[name]
    value = pl.col(name)
    if kind == pl.String:
        value = value.str.split(options.list_separator).list.eval(pl.element().str.strip_chars())
    elif not isinstance(kind, pl.List | pl.Array):
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; a vector is a list of numbers")
    value = value.cast(pl.List(pl.Float32), strict=False)
    value = pl.when(~value.list.eval(~pl.element().is_finite() | pl.element().is_null()).list.any()).then(value)
    length = rows.frame.select(value.list.len().drop_nulls().mode().min()).item()
    if length is None:
        return rows
    rows = rows.cast(name, pl.when(value.list.len() == length).then(value), f"a vector of {length} numbers")
    return replace(rows, frame=rows.frame.with_columns(pl.col(name).list.to_array(length)))


def _as_text(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (the same)
    return as_ids(rows, name)


def _as_is(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (the same)
    return rows


CONVERT: Mapping[Role, Callable[[Rows, str, ReadOptions], Rows]] = {
    Role.TEXT: _as_text,
    Role.CATEGORY: _as_text,
    Role.CATEGORIES: _as_labels,
    Role.NUMBER: _as_number,
    Role.FLAG: _as_flag,
    Role.VECTOR: _as_vector,
    Role.OTHER: _as_is,
}


def _entities(rows: Rows, options: ReadOptions) -> RawData:
    check_named(rows, options)
    kind = "item" if rows.part is Part.ITEMS else "user"
    own = found_column(rows, kind, options, ("id", *USUAL[kind]))
    if own is None:
        raise DataError(
            f"{rows.file} has no column that is plainly the {kind}'s id; "
            f"say --map {rows.part}.{kind}=COLUMN, one of: {', '.join(_columns(rows))}"
        )
    # an unmarked "weight" is that of interactions
    shared = {theirs for ours, theirs in options.columns.items() if ours in INTERACTION_COLUMNS}
    names = {theirs: ours for theirs, ours in options.renamed(rows.part).items() if theirs not in shared}
    ours = {own: "id", **{c: names.get(c, c) for c in _columns(rows) if c != own}}
    if len(set(ours.values())) < len(ours):
        raise DataError(f"{rows.file}: two columns would be named alike; map them to different names")
    rows = as_ids(replace(rows, frame=rows.frame.rename(ours)), "id")
    roles: dict[str, Role] = {}
    for name in list(ours.values()):
        if name == "id":
            continue
        role = options.role(rows.part, name) or _guess(name, rows.frame[name], options.list_separator)
        rows = CONVERT[role](rows, name, options)
        roles[name] = role
    said = ", ".join(f"{name} is {role}" for name, role in roles.items())
    note = f"{Path(rows.file).name}: the id is {own!r}" + (f", {said}" if said else "")
    return replace(rows.entities(roles), notes=(note,))


def _shape(rows: Rows, options: ReadOptions) -> RawData:
    return (_interactions if rows.part is Part.INTERACTIONS else _entities)(rows, options)


class CsvReader(Reader):
    """Text with a header line, its fields separated by ``,``, tab, ``;`` or ``|``, gzip or not."""

    expects: ClassVar[str] = "a .csv or .tsv file whose first line names the columns"
    general: ClassVar[bool] = True

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Whether it is named like one, or begins with lines of equally many fields."""
        lines = head(path, 2) if path.is_file() else []
        if not lines:
            return False
        name = path.name.removesuffix(".gz")
        names, _ = split_header(lines[0], None)
        return name.endswith(TEXT_SUFFIXES) or (len(names) > 1 and all(names))

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read one file."""
        part = options.part or Part.INTERACTIONS
        rows = read_delimited(path, part, separator=options.separator, quoted=True, encoding=options.encoding)
        return _shape(rows, options)


class ParquetReader(Reader):
    """A Parquet file, or a folder of them that make one table."""

    expects: ClassVar[str] = "a .parquet file, or a folder of them"

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Whether it begins as Parquet does, or is a folder with such files."""
        try:
            if path.is_dir():
                return any(path.glob("*.parquet"))
            with path.open("rb") as file:
                return file.read(4) == b"PAR1"
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read one file, or the files of a folder in the order of their names."""
        part = options.part or Part.INTERACTIONS
        found = []
        for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
            try:
                frame = pl.read_parquet(file).with_row_index(LINE, offset=1)
            except (OSError, pl.exceptions.PolarsError) as error:
                raise DataError(f"{file} cannot be read as Parquet: {error}") from error
            found.append(_shape(Rows.of(part, file, frame), options))
        if not found:
            raise DataError(f"{path} holds no file named *.parquet")
        return RawData.concat(found)
