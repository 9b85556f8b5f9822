"""Rows of a Parquet file as events of the store, with the same checks as the server's, column by column.

Pure: frames in, frames out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from cuvee.data.files.columns.ids import as_ids
from cuvee.data.files.columns.numbers import as_numbers
from cuvee.data.files.columns.times import as_seconds
from cuvee.data.files.raw import LINE, ReadOptions, Rows, TimeUnit
from cuvee.data.files.tabular import found_column
from cuvee.data.ids import LONGEST_ID
from cuvee.data.store.rows import LATEST, LONGEST_EVENT_ID, SKEW, EventType
from cuvee.errors import DataError
from cuvee.pseudonyms import Pseudonyms

__all__ = ["EVENT_COLUMNS", "as_events"]

EVENT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid"),
    "session": ("session", "sessionid"),
    "item": ("item", "itemid", "iid", "movieid", "productid"),
    "type": ("type", "eventtype", "event"),
    "value": ("value", "rating"),
    "time": ("time", "eventtime", "timestamp", "ts"),
    "event_id": ("eventid",),
    "recommendation_id": ("recommendationid",),
    "position": ("position",),
}
"""What a column of events can mean, with the names that are looked for, in small letters without ``_``."""
TEXTS = {"user": LONGEST_ID, "session": LONGEST_ID, "item": LONGEST_ID, "recommendation_id": LONGEST_ID,
         "event_id": LONGEST_EVENT_ID}  # fmt: skip
TYPES = {kind.name.lower(): int(kind) for kind in EventType}


def as_events(
    rows: Rows, options: ReadOptions, pseudonyms: Pseudonyms, kind: EventType | None, product: str, received: int
) -> Rows:
    """The usable rows with the columns of ``cuvee_events``; the others are rejected as malformed.

    Args:
        rows: as they stand in the file.
        options: which column is what, and what a number in the time column counts.
        pseudonyms: how ids of users and sessions are kept.
        kind: of every event, where the file has no column of types.
        product: whose events these are.
        received: microseconds since the epoch; each row's is one more than that of the row before it.

    Raises:
        DataError: a column is missing, or its type does not fit its meaning.
    """
    rows = _named(rows, options, kind)
    for name, longest in TEXTS.items():
        if name in rows.frame.columns:
            rows = as_ids(rows, name, exact=True)
            rows = rows.reject(pl.col(name).str.len_chars() > longest, pl.lit(f"{name} has over {longest} characters"))
            rows = rows.reject(pl.col(name).str.contains("\0", literal=True), pl.lit(f"{name} holds the character NUL"))
            if name in {"user", "session"}:
                rows = replace(rows, frame=rows.frame.with_columns(pseudonyms.of_each(rows.frame[name], rows.file)))
        else:
            rows = replace(rows, frame=rows.frame.with_columns(pl.lit(None, pl.String).alias(name)))
    rows = replace(rows, frame=rows.frame.with_columns(pl.col(name).replace("", None) for name in TEXTS))
    rows = rows.reject(pl.col("user").is_null() & pl.col("session").is_null(), pl.lit("no user, and no session"))
    rows = rows.reject(pl.col("item").is_null(), pl.lit("no item"))
    rows = _valued(_typed(rows, kind))
    rows = _placed(_timed(rows, options, received))
    owner = pl.coalesce("user", "session")
    frame = rows.frame.with_columns(owner.alias("owner"), pl.lit(product).alias("product"))
    frame = frame.with_columns(pl.coalesce("event_id", _content_ids(frame)).alias("event_id"))
    order = ("product", "event_id", "owner", "session", "item", "type", "value", "time", "received",
             "recommendation_id", "position")  # fmt: skip
    return replace(rows, frame=frame.select(order).rename({"session": "session_id", "item": "item_id"}))


def _named(rows: Rows, options: ReadOptions, kind: EventType | None) -> Rows:
    """The file's columns under our names."""
    there = [name for name in rows.frame.columns if name != LINE]
    found = {ours: theirs for ours, usual in EVENT_COLUMNS.items()
             if (theirs := found_column(rows, ours, options, usual))}  # fmt: skip
    needed = ["item", "time", *(["user"] if "session" not in found else []), *(["type"] if kind is None else [])]
    for name in needed:
        if name not in found:
            how = ", or --type view if all are views" if name == "type" else ""
            raise DataError(
                f"{rows.file} has no column that is plainly the {name}; say --map {name}=COLUMN, "
                f"one of: {', '.join(there)}{how}"
            )
    return replace(rows, frame=rows.frame.select(LINE, *(pl.col(v).alias(k) for k, v in found.items())))


def _typed(rows: Rows, kind: EventType | None) -> Rows:
    if kind is not None and "type" not in rows.frame.columns:
        return replace(rows, frame=rows.frame.with_columns(pl.lit(int(kind), pl.Int16).alias("type")))
    rows = as_ids(rows, "type", exact=True)
    rows = rows.reject(pl.col("type").is_null(), pl.lit("no type"))
    known = (
        pl.col("type").str.strip_chars().str.to_lowercase().replace_strict(TYPES, default=None, return_dtype=pl.Int16)
    )
    return rows.cast("type", known, f"one of {', '.join(TYPES)}")


def _valued(rows: Rows) -> Rows:
    if "value" not in rows.frame.columns:
        rows = replace(rows, frame=rows.frame.with_columns(pl.lit(None, pl.Float64).alias("value")))
    rows = as_numbers(rows, "value")
    value, kind = pl.col("value"), pl.col("type")
    rows = rows.reject(~value.is_finite(), pl.lit("value is not finite"))
    rows = rows.reject((kind == EventType.RATING) & value.is_null(), pl.lit("no value, which holds the rating"))
    rows = rows.reject((kind == EventType.PURCHASE) & (value <= 0), pl.lit("value of a purchase is not above 0"))
    rows = rows.reject((kind != EventType.RATING) & (value < 0), pl.lit("value is negative"))
    return replace(rows, frame=rows.frame.with_columns(value.fill_null(1.0)))


def _timed(rows: Rows, options: ReadOptions, received: int) -> Rows:
    rows = as_seconds(rows, "time", options.time_unit, options.time_format)
    time = pl.col("time")
    rows = rows.reject(time.is_null(), pl.lit("no time"))
    beyond = time.is_finite() & (time >= LATEST)
    reason = pl.lit("time after the year 9999")
    if options.time_unit is None:
        for unit in (TimeUnit.NANOSECONDS, TimeUnit.MICROSECONDS, TimeUnit.MILLISECONDS):
            said = f"time after the year 9999 (is it in {unit.name.lower()}? --time-unit {unit})"
            reason = pl.when(time * 1e6 / unit.per_second <= received + SKEW).then(pl.lit(said)).otherwise(reason)
    rows = rows.reject(beyond, reason)
    rows = rows.reject(~(time.is_finite() & (time >= 0)), pl.lit("time is not from 1970 to 9999"))
    rows = rows.reject(time * 1e6 > received + SKEW, pl.lit("time is in the future, by over 5 minutes"))
    came = received + pl.int_range(pl.len(), dtype=pl.Int64)
    whole = (time * 1e6).round().cast(pl.Int64)
    return replace(rows, frame=rows.frame.with_columns(whole.alias("time"), came.alias("received")))


def _placed(rows: Rows) -> Rows:
    if "position" not in rows.frame.columns:
        return replace(rows, frame=rows.frame.with_columns(pl.lit(None, pl.Int32).alias("position")))
    rows = as_numbers(rows, "position")
    place = pl.col("position")
    rows = rows.reject(
        (place < 0) | (place != place.floor()) | (place >= 2**31), pl.lit("position is no whole number from 0 on")
    )
    return replace(rows, frame=rows.frame.with_columns(place.cast(pl.Int32)))


def _content_ids(frame: pl.DataFrame) -> pl.Series:
    """An id for each event, derived from its content, so that a row that is read again is the same event."""
    parts = [pl.col(name).cast(pl.String).fill_null("") for name in ("owner", "session", "item", "type", "time")]
    said = frame.select(pl.concat_str(parts, separator="\0")).to_series()
    return pl.Series("said", [hashlib.blake2b(one.encode(), digest_size=16).hexdigest() for one in said], pl.String)
