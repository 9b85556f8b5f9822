"""Which column means what: by its name, by its values, and by which ids meet those of another file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from cuvee.data.files.columns.ids import text_of
from cuvee.data.files.columns.numbers import reads_as_numbers
from cuvee.data.files.columns.times import as_seconds
from cuvee.data.files.raw import Part, Rows, TimeUnit
from cuvee.errors import DataError

__all__ = ["NAMES", "Meaning", "as_ids_text", "interactions_of", "liked_from", "normal", "title_of"]

NAMES: Mapping[str, tuple[str, ...]] = {
    "user": (
        "user", "userid", "uid", "username", "customer", "customerid", "client", "clientid", "buyer", "buyerid",
        "household", "householdid", "householdkey", "member", "memberid", "visitor", "visitorid", "account",
        "accountid", "person", "personid", "reviewer", "reviewerid", "reader", "readerid", "listener", "viewer",
        "session", "sessionid", "用户", "用户id",
    ),
    "item": (
        "item", "itemid", "iid", "product", "productid", "article", "articleid", "sku", "asin", "movie", "movieid",
        "film", "filmid", "book", "bookid", "isbn", "song", "songid", "track", "trackid", "artist", "artistid", "anime",
        "animeid", "game", "gameid", "video", "videoid", "news",
        "newsid", "job", "jobid", "paper", "paperid", "course",
        "courseid", "recipe", "recipeid", "business", "businessid", "content", "contentid", "商品", "商品id", "物品",
    ),
    "time": (
        "time", "timestamp", "ts", "datetime", "date", "eventtime", "createdat", "playedat", "viewedat", "orderdate",
        "purchasedate", "unixtime", "unixreviewtime", "reviewtime", "transactiontimestamp", "时间", "日期",
    ),
    "value": ("value", "rating", "ratings", "score", "stars", "grade", "bookrating", "overall", "评分"),
    "weight": ("weight",),
    "order": ("order", "pos", "position", "seq", "sequence", "step"),
}  # fmt: skip
"""Names of columns, in small letters and without other characters."""
TITLES = ("title", "name", "booktitle", "movietitle", "productname", "itemname", "artistname", "trackname", "headline")
MOST_GRADES = 101
"""A rating has at most so many different values."""
LIKED = 0.7
"""How far up a scale of ratings liking begins: at 4 of 1 to 5, at 8 of 1 to 10."""
SAMPLE = 1000
"""Values that are looked at to know texts for dates."""
DATE = r"^\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{4})(?:\D|$)"
SECONDS = (3e8, 4.2e9)
"""Moments from 1979 to 2103 as seconds since 1970."""


@dataclass(frozen=True)
class Meaning:
    """What a column is taken for."""

    column: str
    ours: str
    """user, item, time, value, weight, order, or empty where it is not used."""
    why: str
    sure: bool = True
    others: tuple[str, ...] = field(default=())
    """Columns that might be meant instead."""


def normal(name: str) -> str:
    """A column's name in small letters, without blanks, points and the like."""
    return re.sub(r"[^\w]|_", "", name.lower())


def interactions_of(frame: pl.DataFrame, mapped: Mapping[str, str]) -> list[Meaning] | None:
    """What the columns of a file of interactions mean; None where it does not look like one.

    Args:
        frame: the file.
        mapped: ours -> the file's, as somebody has said.
    """
    found = {ours: Meaning(theirs, ours, "as you said") for ours, theirs in mapped.items() if theirs in frame.columns}
    for ours, usual in NAMES.items():
        if ours not in found and (column := _named(frame, usual, [m.column for m in found.values()])):
            found[ours] = Meaning(column, ours, "its name")
    _pair(frame, found)
    if not {"user", "item"} <= found.keys():
        return None
    user = frame[found["user"].column]
    if user.n_unique() == len(frame) > 1 and found["item"].why != "as you said":
        return None  # one row for each user: a table of users
    _timed(frame, found)
    if (value := found.get("value")) and not _is_rating(frame[value.column]):
        found["value"] = Meaning(value.column, "", "its values are no ratings")
    return list(found.values())


def _named(frame: pl.DataFrame, usual: Sequence[str], taken: Sequence[str]) -> str | None:
    there = {normal(name): name for name in reversed(frame.columns) if name not in taken}
    return next((there[name] for name in usual if name in there), None)


def _pair(frame: pl.DataFrame, found: dict[str, Meaning]) -> None:
    """Find user and item by values, where the names tell only one of them or none."""
    if {"user", "item"} <= found.keys():
        return
    taken = [meaning.column for meaning in found.values()]
    able = [name for name in frame.columns if name not in taken and _repeats(frame[name])]
    named = [name for name in able if re.search(r"(?i)(^|[^a-z])ids?$|[a-z]I[dD]$|key$|code$", name)]
    for ours in ("user", "item"):
        if ours not in found and (left := [name for name in named or able if name not in taken]):
            others = tuple(name for name in able if name != left[0])
            found[ours] = Meaning(left[0], ours, "its values come again and again", sure=False, others=others)
            taken.append(left[0])


def _repeats(column: pl.Series) -> bool:
    """Whether values may be ids of which most come several times."""
    if column.dtype.is_nested() or column.dtype.is_float() or column.dtype in (pl.Date, pl.Datetime, pl.Boolean):
        return False
    distinct = column.n_unique()
    return 1 < distinct < 0.9 * len(column)


def as_ids_text(column: pl.Series) -> pl.Series:
    """A column as ids are compared: text, without ``.0`` behind whole numbers; nested ones are all null."""
    if column.dtype.is_nested():
        return pl.Series(column.name, [None] * len(column), pl.String)
    return text_of(column).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "${1}")


def _timed(frame: pl.DataFrame, found: dict[str, Meaning]) -> None:
    """Check the column of times, or find one by its type; numbers that are no moments tell an order."""
    time = found.get("time")
    if time is None:
        taken = {meaning.column for meaning in found.values()}
        dated = [name for name in frame.columns if name not in taken and _holds_dates(frame[name])]
        named = [name for name in dated if re.search(r"(?i)date|time|when|_at$|day", name)]
        if dated:
            found["time"] = Meaning((named or dated)[0], "time", "its values are dates or times")
        return
    column = frame[time.column]
    numbers = _numbers(column)
    if time.why == "as you said" or numbers is None or not len(numbers):
        return
    if float(numbers.median() or 0) < SECONDS[0] and not _dated(numbers):  # type: ignore[arg-type]
        del found["time"]
        if "order" not in found:
            why = "its numbers rise and are no moments: they tell what came first"
            found["order"] = Meaning(time.column, "order", why, sure=False)


def _holds_dates(column: pl.Series) -> bool:
    """Whether a column is of dates, or of texts that are written like some."""
    if column.dtype in (pl.Date, pl.Datetime):
        return True
    given = column.drop_nulls().head(SAMPLE)
    return column.dtype == pl.String and len(given) > 0 and int(given.str.contains(DATE).sum()) > 0.9 * len(given)


def _dated(numbers: pl.Series) -> bool:
    """Whether numbers are dates without separators, or Excel's days."""
    low, high = float(numbers.min() or 0), float(numbers.max() or 0)  # type: ignore[arg-type]
    return 19_000_101 <= low <= high <= 21_001_231 or 32_874 <= low <= high < 73_051


def _numbers(column: pl.Series) -> pl.Series | None:
    """Float64 without nulls, where all that says something is a number; else None."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).drop_nulls()
    if column.dtype != pl.String:
        return None
    given = column.drop_nulls()
    numbers = given.cast(pl.Float64, strict=False)
    return None if numbers.null_count() else numbers


def unit_of(column: pl.Series) -> TimeUnit | None:
    """What numbers in a column of times count; None for seconds and for what is no number."""
    numbers = _numbers(column)
    if numbers is None or not len(numbers):
        return None
    middle = float(numbers.median() or 0)  # type: ignore[arg-type]
    for unit in (TimeUnit.MILLISECONDS, TimeUnit.MICROSECONDS, TimeUnit.NANOSECONDS):
        if SECONDS[0] * unit.per_second <= middle <= SECONDS[1] * unit.per_second and middle > SECONDS[1]:
            return unit
    return None


def ambiguity(frame: pl.DataFrame, column: str) -> str | None:
    """Why the times of a column cannot be read without more being said; None where they can."""
    some = frame.select(pl.col(column).alias("time"), pl.lit(1, pl.UInt32).alias("\0line"))
    try:
        as_seconds(Rows.of(Part.INTERACTIONS, column, some), "time", unit_of(frame[column]))
    except DataError as problem:
        return str(problem)
    return None


def _is_rating(column: pl.Series) -> bool:
    numeric = column.dtype.is_numeric() or (column.dtype == pl.String and reads_as_numbers(column.drop_nulls()))
    return numeric and column.n_unique() <= MOST_GRADES


def liked_from(column: pl.Series) -> float | None:
    """From which rating on an event is a like; None where all ratings are alike.

    It is the lowest rating in the upper part of the scale. A scale begins at the lowest rating above 0: 0 and
    below usually stand for "not rated".
    """
    text = column.cast(pl.String).str.replace(",", ".") if column.dtype == pl.String else column
    grades = text.cast(pl.Float64, strict=False).drop_nulls().unique().sort()
    grades = grades.filter(grades.is_finite())
    above = grades.filter(grades > 0)
    if len(grades) < 2 or not len(above):
        return None
    low, high = float(above[0]), float(above[-1])
    if low == high:
        return high
    wanted = low + LIKED * (high - low)
    return float(above.filter(above >= wanted)[0])


def title_of(columns: Sequence[str]) -> str | None:
    """The column of items that is their title, where none is called so."""
    plain = {normal(name): name for name in reversed(columns)}
    return None if "title" in columns else next((plain[name] for name in TITLES if name in plain), None)
