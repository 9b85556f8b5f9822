"""Numbers, from any numeric type and from text as people write it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cuvee.data.files.raw import Rows
from cuvee.data.flags import MISSING
from cuvee.errors import DataError

__all__ = ["MOSTLY", "as_number", "as_numbers", "missing", "reads_as_numbers"]

MOSTLY = 0.8
"""A column is of a kind where more than this share of its values are."""
PLAIN = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
COMMA_GROUPS = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$"
"""1,234,567.8"""
POINT_GROUPS = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?$"
"""1.234.567,8 and 1234,5"""
BLANK_GROUPS = r"^[+-]?\d{1,3}(?:[\s\x{00A0}\x{202F}'\x{2019}]\d{3})+(?:[.,]\d*)?$"
"""1 234 567,8, with blanks of all kinds, and 1'234'567.8"""
RANGE = (
    r"^(?:[<>≤≥~]=?\s*\d"
    r"|\d[\d.,]*\s*(?:\+|[-\x{2013}]\s*\d|(?i:or|and|to|plus|bis|und)\b)"
    r"|(?i:under|over|up to|unter|über)\s+\d)"
)
"""5+, <10, 10-20, 3 or more, under 5"""
CLASSES = 50
"""A column with more distinct values than this does not hold classes."""
UNIT = r"[$€£¥₹₽₩₺%]|(?:EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|KRW|RUB|TRY|ZAR)\b"
"""A currency, or per cent."""
BEFORE, BEHIND = rf"^([+-]?)\s*({UNIT})\s*", rf"\s*({UNIT})$"
BLANK = r"[\s\x{00A0}\x{202F}'\x{2019}]"
SURELY_DECIMAL = r"\d,(?:\d{1,2}|\d{4,})$|\.\d{3},\d|^[+-]?(?:\d{4,}|0),\d"
"""A comma that cannot be a thousands separator."""
SURELY_THOUSANDS = r",\d{3}[.,]\d|^[+-]?\d*\.(?:\d{1,2}|\d{4,})$"
"""A comma between groups, or a point before decimals."""
EXACT = 2**53
"""From this number on, a float cannot represent every whole number."""


def missing(column: str) -> pl.Expr:
    """Whether a text says that a value is not known."""
    return pl.col(column).str.strip_chars().str.to_lowercase().is_in(sorted(MISSING))


def as_numbers(rows: Rows, name: str, decimal: str | None = None) -> Rows:
    """A column as Float64, rows that hold something else being malformed."""
    kind = rows.frame.schema[name]
    if kind in (pl.Categorical, pl.Enum):
        rows = replace(rows, frame=rows.frame.with_columns(pl.col(name).cast(pl.String)))
        kind = pl.String()
    if not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; expected numbers")
    if kind == pl.String:
        plain, unit = _without_unit(rows.frame[name])
        if unit:
            frame = rows.frame.with_columns(plain)
            rows = replace(rows, frame=frame).tell(f"{name}: {unit!r} is left out of its numbers")
        rows = _localised(rows, name, decimal)
    return rows.numbers(name)


def as_number(rows: Rows, name: str, decimal: str | None = None) -> Rows:
    """A quantity of items or users: Int64 where all are whole and small enough, else Float64.

    NaN, and a word that says that a value is not known, are null. Infinity costs its row.
    """
    if rows.frame.schema[name] == pl.Int64:
        return rows
    if rows.frame.schema[name] == pl.String:
        absent = missing(name)
        words = rows.frame.filter(absent & pl.col(name).is_not_null() & (pl.col(name) != ""))[name]
        if len(words):
            rows = rows.tell(f"{name}: {len(words):,} of its cells hold no number but {words[0]!r}, read as not known")
            rows = replace(rows, frame=rows.frame.with_columns(pl.when(~absent).then(pl.col(name)).alias(name)))
    rows = as_numbers(rows, name, decimal)
    value = pl.col(name)
    rows = replace(rows, frame=rows.frame.with_columns(value.fill_nan(None)))
    rows = rows.reject(value.is_infinite(), pl.lit(f"{name} is not a finite number"))
    whole = rows.frame.select(((value == value.round()) & (value.abs() < EXACT)).all()).item()
    return replace(rows, frame=rows.frame.with_columns(value.cast(pl.Int64))) if whole else rows


def reads_as_numbers(column: pl.Series) -> bool:
    """Whether nearly all texts that say something are numbers.

    Those with zeros in front are codes, not numbers. So are few values of which one that comes again is a
    range, such as ``5+`` beside 1, 2, 3 and 4: these are classes, and its rows are no mistakes.
    """
    given = column.filter(~column.str.strip_chars().str.to_lowercase().is_in(sorted(MISSING)) & column.is_not_null())
    if not len(given) or given.str.contains(r"^[+-]?0\d").any():
        return False
    given, _ = _without_unit(given)
    forms = (PLAIN, COMMA_GROUPS, POINT_GROUPS, BLANK_GROUPS)
    number = given.to_frame("text").select(pl.any_horizontal(pl.col("text").str.contains(form) for form in forms))
    if int(number.to_series().sum()) <= MOSTLY * len(given):
        return False
    others = given.filter(~number.to_series()).str.strip_chars()
    ranges = others.filter(others.str.contains(RANGE))
    return not (len(ranges) > ranges.n_unique() and given.n_unique() <= CLASSES)


def _without_unit(column: pl.Series) -> tuple[pl.Series, str]:
    """Texts without their unit, such as ``$`` or ``EUR``, and the unit; empty where most have none or others."""
    name, value = column.name, pl.col(column.name)
    text = column.str.strip_chars().to_frame()
    unit = pl.coalesce(value.str.extract(BEFORE, 2), value.str.extract(BEHIND, 1))
    found = text.select(unit).to_series().drop_nulls()
    units = found.unique().to_list()
    # a few per cents among bare numbers may mean something else than these
    if len(units) != 1 or 2 * len(found) <= int(text.select(value != "").to_series().sum()):
        return column, ""
    plain = text.select(value.str.replace(BEFORE, "${1}").str.replace(BEHIND, "").alias(name)).to_series()
    return plain, str(units[0])


def _localised(rows: Rows, name: str, decimal: str | None) -> Rows:
    """Numbers with groups of digits, or a comma before the decimals, as plain ones.

    Raises:
        DataError: it cannot be told what the comma means.
    """
    value = pl.col(name)
    joined = pl.when(value.str.contains(BLANK_GROUPS)).then(value.str.replace_all(BLANK, "")).otherwise(value)
    written = rows.frame.select(joined).to_series()
    odd = written.filter(written.str.contains(COMMA_GROUPS) | written.str.contains(POINT_GROUPS))
    odd = odd.filter(~odd.str.contains(PLAIN))
    if not len(odd):
        return replace(rows, frame=rows.frame.with_columns(joined.alias(name)))
    if decimal is None:
        decimal = _mark(rows, name, odd, written)
    if decimal == ",":
        plain = value.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        form, said = POINT_GROUPS, "a comma before the decimals"
    else:
        plain, form, said = value.str.replace_all(",", "", literal=True), COMMA_GROUPS, "commas between the thousands"
    rows = rows.tell(f"{name}: numbers such as {odd[0]!r} are read with {said}")
    rows = replace(rows, frame=rows.frame.with_columns(joined.alias(name)))
    return replace(
        rows, frame=rows.frame.with_columns(pl.when(value.str.contains(form)).then(plain).otherwise(value).alias(name))
    )


def _mark(rows: Rows, name: str, odd: pl.Series, written: pl.Series) -> str:
    """The decimal mark, decided by the unambiguous values."""
    with_comma = odd.filter(odd.str.contains(",", literal=True))
    if not len(with_comma):
        return ","  # 1.234.567
    decimals = bool(with_comma.str.contains(SURELY_DECIMAL).any())
    thousands = bool(written.str.contains(SURELY_THOUSANDS).any())
    if decimals == thousands:
        shown = with_comma[0]
        raise DataError(
            f"{rows.file}: {name} '{shown}' may be {shown.replace(',', '')} or {shown.replace(',', '.')}; "
            "say --decimal . if the comma separates thousands, or --decimal , if decimals follow it"
        )
    return "," if decimals else "."
