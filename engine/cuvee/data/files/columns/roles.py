"""What a column of items or users means, and its values in the type of that meaning.

Each role has one type, whatever the file had, so that every command can read what an import wrote:
String (text, category), List of String (categories), Int64 or Float64 (number), Boolean (flag),
Array of Float32 (vector); other is String, Date or Datetime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import polars as pl

from cuvee.data.catalog import Role, infer_role
from cuvee.data.files.columns.ids import as_text, text_of
from cuvee.data.files.columns.numbers import MOSTLY, as_number, reads_as_numbers
from cuvee.data.files.raw import FILE, LINE, Part, ReadOptions, Rows
from cuvee.data.flags import AVAILABLE, as_flags, is_missing
from cuvee.data.ids import LONGEST_ID
from cuvee.errors import DataError

__all__ = ["as_role", "guess", "plain_type"]

TITLES = {"title", "name", "description", "text"}
ELEMENT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,'"][^,]*"""
"""An element of a list that is written as a text: in quotes, or up to the next comma."""
MOSTLY_ALIKE = 0.6
"""Lists of numbers are vectors where more than this share of them are of one length."""
PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"on", "off"}, {"ja", "nein"}, {"wahr", "falsch"})
"""What a column of flags says, in small letters; of the short ones both, since an ``f`` alone may be anything."""


def plain_type(column: pl.Series) -> pl.Series | None:
    """A column converted to one of a few types, with the same meaning; None where it cannot be used.

    Categories, times of day and bytes become text (except long bytes that are not UTF-8). Decimals, and
    durations in seconds, become floats. Moments become naive ones in UTC. Lists of anything but numbers
    become lists of texts. Deeper nesting becomes JSON.
    """
    kind = column.dtype
    if kind.is_numeric():
        return _plain_number(column)
    if isinstance(kind, pl.List | pl.Array):
        return _plain_list(column, kind)
    if kind.is_nested():
        return _as_json(column)
    if kind == pl.Duration:
        return column.dt.total_microseconds(fractional=True) / 1e6
    if isinstance(kind, pl.Datetime):
        utc = column if kind.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return utc.cast(pl.Datetime("us"))
    return column if kind in (pl.String, pl.Boolean, pl.Date) else _plain_text(column)


def _plain_number(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if kind.is_integer():
        small = column.cast(pl.Int64, strict=False)
        return small if small.null_count() == column.null_count() else column  # an id may be that long
    return column if kind in (pl.Float32, pl.Float64) else column.cast(pl.Float64)


def _plain_text(column: pl.Series) -> pl.Series | None:
    if column.dtype in (pl.Null, pl.Object):
        return None
    if column.dtype == pl.Binary and (column.bin.size() > LONGEST_ID).any():
        try:
            return column.cast(pl.String)
        except pl.exceptions.PolarsError:
            return None  # a picture or the like
    return text_of(column)


def _plain_list(column: pl.Series, kind: pl.List | pl.Array) -> pl.Series | None:
    inner = kind.inner if isinstance(kind.inner, pl.DataType) else kind.inner()
    if isinstance(kind, pl.Array) and (kind.size == 0 or not inner.is_numeric()):
        return _plain_list(column.arr.to_list(), pl.List(inner)) if kind.size else None
    if inner.is_nested():
        return _as_json(column)
    if inner == pl.Binary:
        texts = [None if row is None else [one for one in text_of(row) if one is not None] for row in column]
        return pl.Series(column.name, texts, pl.List(pl.String))
    if inner.is_decimal() or inner == pl.Float16:
        return column.cast(pl.List(pl.Float64) if isinstance(kind, pl.List) else pl.Array(pl.Float64, kind.size))
    return column if inner.is_numeric() else column.cast(pl.List(pl.String))


def _as_json(column: pl.Series) -> pl.Series:
    """Nested values as JSON."""
    if "Map(" in str(column.dtype):  # which Polars does not encode
        values = [None if value is None else json.dumps(value, default=str) for value in column.to_list()]
        return pl.Series(column.name, values, pl.String)
    frame = column.to_frame("value")
    if isinstance(column.dtype, pl.Struct):
        text = pl.col("value").struct.json_encode()
    else:
        # only a struct is encoded: its braces and name are cut off again
        text = pl.struct("value").struct.json_encode().str.slice(len('{"value":')).str.strip_suffix("}")
    return frame.select(pl.when(pl.col("value").is_not_null()).then(text).alias(column.name)).to_series()


def guess(name: str, column: pl.Series, options: ReadOptions, was: pl.DataType) -> Role:
    """A role from a column's plain values, looking into text for numbers, flags and lists.

    Args:
        name: of the column, in our words.
        column: as :func:`plain_type` gave it.
        options: among them what stands between labels.
        was: the type before, which tells categories from text.
    """
    kind = column.dtype
    if isinstance(kind, pl.List | pl.Array):
        return _guess_list(column, kind)
    if was in (pl.Categorical, pl.Enum):
        return Role.CATEGORY
    if was.is_nested() or was == pl.Time:
        return Role.OTHER
    given = column.drop_nulls()
    return infer_role(name, column) if kind != pl.String or not len(given) else _guess_text(name, column, options)


def _guess_text(name: str, column: pl.Series, options: ReadOptions) -> Role:
    given = column.drop_nulls()
    if name not in TITLES and _are_lists(given):
        parsed = _parsed_lists(given)
        numbers = parsed.cast(pl.List(pl.Float64), strict=False)
        pointed = given.str.contains(r"\d\.|\.\d").any() and not given.str.contains(r"['\"]").any()
        whole = int((numbers.list.drop_nulls().list.len() == parsed.list.len()).sum()) > MOSTLY * len(given)
        return _guess_list(numbers, pl.List(pl.Float64)) if pointed and whole else Role.CATEGORIES
    listed = given.str.contains(options.list_separator, literal=True).any()
    if not listed and reads_as_numbers(given):
        return Role.NUMBER
    words = {word for word in given.str.strip_chars().str.to_lowercase().unique().to_list() if not is_missing(word)}
    if any(words == pair or (words and words < pair and len(min(pair, key=len)) > 1) for pair in PAIRS):
        return Role.FLAG
    return Role.CATEGORIES if listed and name not in TITLES else infer_role(name, column)


def _guess_list(column: pl.Series, kind: pl.List | pl.Array) -> Role:
    inner = kind.inner if isinstance(kind.inner, pl.DataType) else kind.inner()
    if isinstance(kind, pl.Array):
        return Role.CATEGORIES if inner == pl.String else Role.VECTOR
    if not inner.is_float():
        return Role.CATEGORIES
    lengths = column.list.len().drop_nulls()
    lengths = lengths.filter(lengths > 0)
    if not len(lengths):
        return Role.CATEGORIES  # all lists are empty: a vector of width 0 could not be kept
    usual = lengths.mode().max()
    alike = int((lengths == usual).sum())
    return Role.VECTOR if usual != 1 and alike > MOSTLY_ALIKE * len(lengths) else Role.OTHER


def as_role(rows: Rows, name: str, role: Role, options: ReadOptions) -> Rows:
    """A column, in its plain type, in the type of its role; a cell that does not fit costs its row.

    Raises:
        DataError: the column as a whole cannot have the role.
    """
    if rows.part is Part.ITEMS and name == AVAILABLE:
        return _as_available(rows, name)
    return CONVERT[role](rows, name, options)


def _as_number(rows: Rows, name: str, options: ReadOptions) -> Rows:
    return as_number(rows, name, options.decimal)


def _as_flag(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (one signature for all roles)
    column = rows.frame[name]
    if column.dtype.is_nested():
        raise DataError(f"{rows.file}: column {name!r} is of type {column.dtype}; a flag is true or false")
    text = pl.DataFrame({"text": text_of(column), "known": _known(column)})
    said = text.select(pl.when("known").then("text").alias(name)).to_series()
    return replace(rows, frame=rows.frame.with_columns(said)).cast(name, as_flags(said), "true or false")


def _known(column: pl.Series) -> pl.Series:
    """Boolean[n]: whether a value is not missing."""
    if column.dtype == pl.String:
        silent = [word for word in column.unique().to_list() if is_missing(word)]
        return column.is_not_null() & ~column.is_in([word for word in silent if word is not None])
    return column.is_not_null() & (column.is_not_nan() if column.dtype.is_float() else True)


def _as_available(rows: Rows, name: str) -> Rows:
    """The flag that hides an item. Where it cannot be read, the item is hidden and a note says so.

    Raises:
        DataError: most of its values are no flags.
    """
    column = rows.frame[name]
    flags, known = as_flags(column), _known(column)
    bad = known & flags.is_null()
    if not bad.any():
        return replace(rows, frame=rows.frame.with_columns(flags.alias(name)))
    shown = text_of(column)[int(bad.arg_max() or 0)] if not column.dtype.is_nested() else str(column.dtype)
    if int(bad.sum()) * 2 > int(known.sum()):
        raise DataError(
            f"{rows.file}: {AVAILABLE!r} says which items may be shown: true or false, yes or no, 1 or 0; it holds "
            f"{shown!r}. Write it so, or give the column another name: --map stock={AVAILABLE}"
        )
    first = rows.frame.filter(bad).row(0, named=True)
    place = f"{first.get(FILE, rows.file)}:{first[LINE]}"
    rows = rows.tell(
        f"{int(bad.sum()):,} of {name} are neither true nor false, such as {shown!r} at {place}; these items are hidden"
    )
    return replace(rows, frame=rows.frame.with_columns(flags.set(bad, False).alias(name)))


def _are_lists(given: pl.Series) -> bool:
    """Whether all texts are lists as Python and JSON write them: ``['a', 'b']``, ``["a"]``, ``[1, 2]``, ``{'a'}``."""
    filled = given.filter(given.str.strip_chars() != "").str.strip_chars()
    return bool(len(filled)) and bool(filled.str.contains(r"^(?:\[.*\]|\{\s*['\"].*['\"]\s*\}|\(\s*['\"].*\))$").all())


def _parsed_lists(given: pl.Series) -> pl.Series:
    """List of String[n]: what stands in lists that are written as texts; quotes and their escapes are taken off."""
    elements = given.str.strip_chars().str.head(-1).str.tail(-1).str.extract_all(ELEMENT)
    plain = pl.element().str.strip_chars()
    quoted = plain.str.contains(r"^['\"]")
    inside = plain.str.head(-1).str.tail(-1).str.replace_all(r"\\(['\"\\])", "${1}")
    bare = pl.when(~plain.is_in(["None", "nan", "null"])).then(plain)
    return elements.list.eval(pl.when(quoted).then(inside).otherwise(bare)).list.drop_nulls()


def _as_labels(rows: Rows, name: str, options: ReadOptions) -> Rows:
    value = pl.col(name)
    kind = rows.frame.schema[name]
    if isinstance(kind, pl.List | pl.Array):
        value = value.cast(pl.List(pl.String))
    else:
        rows = as_text(rows, name)
        given = rows.frame[name]
        if _are_lists(given.drop_nulls()):
            rows = rows.tell(f"{name}: texts such as {given.drop_nulls()[0][:40]!r} are read as lists")
            rows = replace(rows, frame=rows.frame.with_columns(_parsed_lists(given)))
        else:
            value = value.str.split(options.list_separator)
    value = value.list.eval(pl.element().str.strip_chars())
    value = value.list.eval(pl.element().filter(pl.element() != ""))
    return replace(rows, frame=rows.frame.with_columns(value.alias(name)))


def _as_vector(rows: Rows, name: str, options: ReadOptions) -> Rows:
    kind = rows.frame.schema[name]
    value = pl.col(name)
    if kind == pl.String:
        value = value.str.strip_chars(" []()").str.replace_all(r"\s*,\s*|\s+", options.list_separator)
        value = value.str.split(options.list_separator).list.eval(pl.element().filter(pl.element() != ""))
    elif not isinstance(kind, pl.List | pl.Array):
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; a vector is a list of numbers")
    numbers = rows.frame.select(value.cast(pl.List(pl.Float64), strict=False).cast(pl.List(pl.Float32))).to_series()
    lengths = numbers.list.len()
    filled = lengths.filter(lengths > 0)
    if not len(filled):
        # no row has a vector; one of width 0 is none
        return replace(rows, frame=rows.frame.drop(name)).tell(f"{name} holds nothing and is left out")
    length = int(filled.mode().max())  # type: ignore[arg-type]
    finite = numbers.list.eval(pl.element().is_finite().fill_null(value=False)).list.all()
    empty = lengths == 0
    frame = rows.frame.with_columns(
        pl.when(~empty).then(pl.col(name)).alias(name),
        numbers.zip_with(finite & (lengths == length), pl.Series([None], dtype=pl.List(pl.Float32))).alias("\0vector"),
    )
    shown = pl.lit("'") + pl.col(name).str.slice(0, 40) + "' " if kind == pl.String else pl.lit("")
    held = replace(rows, frame=frame).reject(
        pl.col("\0vector").is_null() & pl.col(name).is_not_null(),
        pl.concat_str(pl.lit(f"{name} "), shown, pl.lit(f"is not a vector of {length} numbers")),
    )
    vector = held.frame["\0vector"].list.to_array(length)
    return replace(held, frame=held.frame.with_columns(vector.alias(name)).drop("\0vector"))


def _as_text(rows: Rows, name: str, options: ReadOptions) -> Rows:  # noqa: ARG001 (the same)
    if isinstance(rows.frame.schema[name], pl.List | pl.Array):
        rows = replace(rows, frame=rows.frame.with_columns(_as_json(rows.frame[name])))
    return as_text(rows, name)


def _as_is(rows: Rows, name: str, options: ReadOptions) -> Rows:
    kind = rows.frame.schema[name]
    return rows if kind in (pl.Date, pl.Datetime) else _as_text(rows, name, options)


CONVERT: Mapping[Role, Callable[[Rows, str, ReadOptions], Rows]] = {
    Role.TEXT: _as_text,
    Role.CATEGORY: _as_text,
    Role.CATEGORIES: _as_labels,
    Role.NUMBER: _as_number,
    Role.FLAG: _as_flag,
    Role.VECTOR: _as_vector,
    Role.OTHER: _as_is,
}
