"""Ids and plain text: the same id is the same text, whatever type the file gave it."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from cuvee.data.files.raw import Rows
from cuvee.data.ids import LONGEST_ID
from cuvee.errors import DataError

__all__ = ["NO_IDS", "as_ids", "as_text", "checked", "masked", "meeting", "text_of", "without_point"]

NO_IDS = ("nan", "none", "null", "<na>", "n/a", "#n/a", "nat", "undefined")
"""Words, in small letters, that other programs write where there is no id."""
EXACT = 2**53
"""From this number on, a float cannot represent every whole number."""
WHOLE = r"^-?\d+\.0+$"
CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Characters that no text has; NUL is refused in ids, and stays to be told."""
ROUNDED = r"^\d\.\d+[eE]\+\d{2,}$"
"""A long number as spreadsheets show it."""


def text_of(column: pl.Series) -> pl.Series:
    """String[n]: values as text; whole numbers without a point, NaN and infinity as null.

    Bytes are read as UTF-8, and those that are no text are written in hexadecimal. Raises TypeError for a
    column of lists or structs.
    """
    kind = column.dtype
    if kind.is_nested() or kind == pl.Object:
        raise TypeError(str(kind))
    if kind == pl.Binary:
        return pl.Series(column.name, [v if v is None else _decoded(v) for v in column.to_list()], pl.String)
    if kind.is_decimal():
        text = column.cast(pl.String)
        return text.str.replace(r"\.0+$", "")
    if not kind.is_float():
        return column.cast(pl.String)
    value = pl.col("value")
    whole = value.cast(pl.Int64, strict=False)
    said = pl.when(value == whole).then(whole.cast(pl.String)).when(value.is_finite()).then(value.cast(pl.String))
    return column.to_frame("value").select(said.alias(column.name)).to_series()


def _decoded(value: bytes) -> str:
    """Bytes as text, in hexadecimal where they are no UTF-8, blank, or hold control characters, as a UUID may."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return value.hex() if value and (not text.strip() or CONTROL.search(text)) else text


def as_text(rows: Rows, name: str) -> Rows:
    """A column as text, without blanks around it; an empty text is null."""
    column = rows.frame[name]
    try:
        text = text_of(column)
    except TypeError as kind:
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; text or numbers are needed") from None
    frame = rows.frame.with_columns(text.str.strip_chars().alias(name))
    return replace(rows, frame=frame.with_columns(pl.when(pl.col(name) != "").then(pl.col(name))))


def as_ids(rows: Rows, name: str, *, exact: bool = False) -> Rows:
    """Ids as text: whole numbers without a point, whatever type they came in; null where there is none.

    NaN is no id; nor are, unless the texts are to be taken as they are (``exact``), an empty text and the
    words of :data:`NO_IDS`, and blanks around an id are no part of it.
    """
    kind = rows.frame.schema[name]
    if kind.is_nested() or kind == pl.Object:
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; ids are text or numbers")
    # NaN is above every number in a comparison
    if kind.is_float() and (rows.frame[name].fill_nan(None).abs() >= EXACT).any():
        rows = rows.tell(f"{name}: its ids are floats too large to be told apart; write them as whole numbers or text")
    if exact:
        return replace(rows, frame=rows.frame.with_columns(text_of(rows.frame[name]).alias(name)))
    rows = as_text(rows, name)
    value = pl.col(name)
    absent = value.str.len_bytes().is_between(3, 9) & value.str.to_lowercase().is_in(NO_IDS)
    return replace(rows, frame=rows.frame.with_columns(pl.when(~absent).then(value).alias(name)))


def checked(rows: Rows, name: str) -> Rows:
    """Ids, less those that are longer than the API takes or hold the character NUL; rounded ones are told."""
    rows = rows.reject(pl.col(name).str.len_chars() > LONGEST_ID, pl.lit(f"{name} has over {LONGEST_ID} characters"))
    rows = rows.reject(pl.col(name).str.contains("\0", literal=True), pl.lit(f"{name} holds the character NUL"))
    given = rows.frame[name].drop_nulls()
    rounded = int(given.str.contains(ROUNDED).sum())
    if not rounded:
        return rows
    return rows.tell(
        f"{name}: {rounded:,} ids are written like 1.23E+12; if a spreadsheet rounded them, several have become one: "
        "export them as text"
    )


def without_point(rows: Rows, name: str) -> Rows:
    """Text ids that all end in ``.0``, as pandas writes whole numbers where one is missing, without that."""
    given = rows.frame[name].drop_nulls()
    if not len(given) or not given.str.contains(WHOLE).all():
        return rows
    cut = pl.col(name).str.replace(r"\.0+$", "")
    rows = replace(rows, frame=rows.frame.with_columns(cut.alias(name)))
    # an example of our own: a user's id must not appear in what is printed
    return rows.tell(f"every {name} is a whole number with '.0' behind it; that is left out: '1.0' is read as '1'")


def meeting(who: str, named: pl.Series, listed: pl.Series) -> str | None:
    """A warning where few ids of the interactions occur in the users or items file, or differ only in spelling.

    It shows an item's id as it is, and of a user's id only the form (:func:`masked`).

    Args:
        who: ``"user"`` or ``"item"``.
        named: the interactions' ids, each once.
        listed: those that have a row of their own.
    """
    alone = named.filter(~named.is_in(listed.implode()))
    if not len(alone) or not len(listed):
        return None
    shown = repr if who == "item" else masked
    loosely = pl.DataFrame({"loose": _loose(listed), "there": listed}).unique(
        "loose", keep="first", maintain_order=True
    )
    near = pl.DataFrame({"loose": _loose(alone), "here": alone}).join(loosely, on="loose", maintain_order="left")
    if len(near):
        here, there = near.row(0, named=True)["here"], near.row(0, named=True)["there"]
        return (
            f"{len(near):,} {who} ids differ only in how they are written, such as {shown(here)} among the "
            f"interactions and {shown(there)} among the {who}s; ids are compared letter by letter, so these differ"
        )
    if len(alone) * 2 <= len(named):
        return None
    return (
        f"only {len(named) - len(alone):,} of {len(named):,} {who} ids of the interactions have a row among the "
        f"{who}s; the others are written like {shown(alone[0])}, those of the {who}s like {shown(listed[0])}"
    )


def masked(text: str) -> str:
    """The form of an id in quotes, without the id: ``9`` for a digit, ``a`` and ``A`` for a letter.

    ``ä`` stands for a letter or digit outside ASCII. Other characters stay, and invisible ones are escaped.
    """
    return repr("".join(_form(c) for c in text)).replace("\\\\", "\\")


def _form(character: str) -> str:
    if character.isascii():
        return "9" if character.isdigit() else "A" if character.isupper() else "a" if character.islower() else character
    if character.isalnum():
        return "ä"
    return character.encode("ascii", "backslashreplace").decode()


def _loose(ids: pl.Series) -> pl.Series:
    """Normalise what often differs between files: case, blanks, composed letters, leading zeros, a trailing ``.0``."""
    text = ids.str.strip_chars().str.normalize("NFKC").str.to_lowercase().str.replace(r"^(-?\d+)\.0+$", "${1}")
    return text.str.replace(r"^0+([^.]+)$", "${1}")
