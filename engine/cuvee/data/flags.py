"""What counts as true or false: the one place where flags are read, for files, the store and the API."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

__all__ = ["AVAILABLE", "FALSE", "MISSING", "TRUE", "as_flag", "as_flags", "is_missing"]

AVAILABLE = "available"
"""The items' column that is always a flag: where it is false, no list shows the item."""

TRUE = frozenset(
    {"true", "t", "yes", "y", "1", "on", "ja", "j", "oui", "si", "sí", "sì", "sim", "wahr", "vrai",
     "enabled", "active", "available"}
)  # fmt: skip
FALSE = frozenset(
    {"false", "f", "no", "n", "0", "off", "nein", "non", "não", "nao", "falsch", "faux",
     "disabled", "inactive", "unavailable"}
)  # fmt: skip
MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "none", "null", "nil", "<na>", "-", "--", "\N{EN DASH}", "\N{EM DASH}", "?"}
)
"""Words, in small letters, by which files say that a value is not known."""


def is_missing(value: object) -> bool:
    """Whether a value says that nothing is known: null, NaN, or one of the words in :data:`MISSING`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in MISSING


def as_flag(value: object) -> bool | None:
    """True or false, from a boolean, a number 0 or 1, or a word in any case; None where it is neither.

    None also stands for a missing value: call :func:`is_missing` first where the difference matters.
    Text may hold a number: ``"1.0"`` is true.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE or word in FALSE:
            return word in TRUE
        try:
            value = float(word)
        except ValueError:
            return None
    # bool, int, float, Decimal and numpy's numbers compare alike; a list or a date equals neither
    if isinstance(value, list | tuple | dict | bytes):
        return None
    return True if value == 1 else False if value == 0 else None


def as_flags(column: pl.Series) -> pl.Series:
    """Boolean[n] by :func:`as_flag` for each value of a column of any type; null where it is no flag."""
    kind = column.dtype
    if kind == pl.Boolean:
        return column
    # a column of flags has few different values, so each is converted once
    if kind.is_nested() or kind in {pl.Binary, pl.Object}:
        return pl.Series(column.name, [None] * len(column), pl.Boolean)
    distinct = column.unique().drop_nulls()
    flags = pl.Series("flag", [as_flag(value) for value in distinct.to_list()], pl.Boolean)
    known: Any = distinct.filter(flags.is_not_null())
    return column.replace_strict(known, flags.drop_nulls(), default=None, return_dtype=pl.Boolean)
