"""A Parquet file, or a folder of them as Spark and pandas write it, as one table.

The type of a column is decided over all parts. A part that is empty, or has only nulls in the column, does
not count. Numbers of several types become the wider one; text and lists become lists; text and others text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cuvee.data.files.columns.ids import text_of
from cuvee.data.files.columns.roles import plain_type
from cuvee.data.files.raw import FILE, LINE
from cuvee.errors import DataError

__all__ = ["joined", "parquet_files", "read_parts"]

Kinds = dict[str, pl.DataType]


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder in the order of their names, below it where it has none itself."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.parquet")) or sorted(path.glob("*=*/**/*.parquet"))
    return [file for file in found if not file.name.startswith((".", "_"))]


def read_parts(path: Path, list_separator: str) -> tuple[pl.DataFrame, Kinds, tuple[str, ...]]:
    """One table with LINE (the row, from 1) and FILE, the types before conversion, and notes for the report.

    Raises:
        DataError: a part cannot be read, or there is none.
    """
    files = parquet_files(path)
    if not files:
        raise DataError(f"{path} holds no file named *.parquet")
    return joined(path, [(file, _read(file)) for file in files], list_separator)


def joined(
    path: Path, read: Sequence[tuple[Path, pl.DataFrame]], list_separator: str
) -> tuple[pl.DataFrame, Kinds, tuple[str, ...]]:
    """The parts of a table, each with the file that it is from, as one; returns what :func:`read_parts` does.

    Raises:
        DataError: a column has a name that is none.
    """
    for file, frame in read:
        if clash := [name for name in frame.columns if "\0" in name]:
            raise DataError(f"{file}: the name of column {clash[0]!r} holds the character NUL")
    read = [(file, frame) for file, frame in read if len(frame)] or read[:1]
    some = [frame for _, frame in read]
    kinds: Kinds = {}
    for frame in some:
        for name, kind in frame.schema.items():
            if name not in kinds or kinds[name] == pl.Null:
                kinds[name] = kind
    notes = []
    columns: dict[str, list[pl.Series | None]] = {}
    for name, kind in kinds.items():
        made = [plain_type(frame[name]) if name in frame.columns else None for frame in some]
        if any(part is not None for part in made) or kind == pl.Null:
            columns[name], note = _of_one_type(name, made, list_separator)
            notes += [f"{path.name}: {note}"] if note else []
        else:
            notes.append(f"{path.name}: {name} is of type {kind}, which has no meaning here, and is left out")
    empty = [name for name, parts in columns.items() if all(part is None for part in parts)]
    notes += [f"{path.name}: {name} holds nothing and is left out" for name in empty]
    tables = [
        pl.DataFrame({name: part for name in columns if (part := columns[name][at]) is not None})
        for at in range(len(some))
    ]
    whole = pl.concat(
        [_placed(table, frame, file) for table, (file, frame) in zip(tables, read, strict=True)],
        how="diagonal",
    )
    return whole.select(*(n for n in kinds if n in whole.columns), FILE, LINE), kinds, tuple(notes)


def _placed(table: pl.DataFrame, frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """With each row's place."""
    n = len(frame)
    file_name, row = (
        pl.repeat(str(file), n, dtype=pl.String, eager=True),
        pl.int_range(1, n + 1, dtype=pl.UInt32, eager=True),
    )
    return (
        table.with_columns(file_name.alias(FILE), row.alias(LINE))
        if table.width
        else pl.DataFrame({FILE: file_name, LINE: row})
    )


def _read(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file, hive_partitioning="=" in str(file.parent.name))
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{file} cannot be read as Parquet: {error}; if it is still being written, wait for its end"
        ) from error


def _of_one_type(name: str, parts: list[pl.Series | None], separator: str) -> tuple[list[pl.Series | None], str | None]:
    """A column's parts in one type, and a note where they had several."""
    kinds = list(dict.fromkeys(part.dtype for part in parts if part is not None and part.null_count() < len(part)))
    kinds = kinds or list(dict.fromkeys(part.dtype for part in parts if part is not None))[:1]
    if not kinds:
        return parts, None
    kind = _common(kinds)
    made = [None if part is None else _cast(part, kind, separator) for part in parts]
    if len(kinds) == 1 or all(one.is_numeric() for one in kinds):
        return made, None
    return made, f"{name} is {', '.join(map(str, kinds))} in different parts, and is read as {kind}"


def _common(kinds: Sequence[pl.DataType]) -> pl.DataType:
    """The narrowest type that holds them all."""
    if len(kinds) == 1:
        return kinds[0]
    if all(kind.is_numeric() for kind in kinds):
        if not all(kind.is_integer() for kind in kinds):
            return pl.Float64()
        return pl.Int64() if all(kind == pl.Int64 for kind in kinds) else pl.Int128()
    if any(isinstance(kind, pl.List | pl.Array) for kind in kinds):
        inner = [kind.inner for kind in kinds if isinstance(kind, pl.List | pl.Array)]
        numbers = len(inner) == len(kinds) and all(i.is_numeric() for i in inner)
        return pl.List(pl.Float64) if numbers else pl.List(pl.String)
    if all(kind in (pl.Date, pl.Datetime) for kind in kinds):
        return pl.Datetime("us")
    return pl.String()


def _cast(part: pl.Series, kind: pl.DataType, separator: str) -> pl.Series:
    if part.dtype == kind:
        return part
    if part.null_count() == len(part):
        return pl.Series(part.name, [None] * len(part), kind)
    if isinstance(kind, pl.List) and not isinstance(part.dtype, pl.List | pl.Array):
        return text_of(part).str.split(separator).cast(kind, strict=False)
    return text_of(part) if kind == pl.String else part.cast(kind)
