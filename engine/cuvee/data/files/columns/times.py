"""Times as people write them, as seconds since 1970.

The format of a column is decided over all of its values. A number may count seconds or the like since
1970, be an Excel day number, or a date without separators. A text may have the year first, as in
ISO 8601, or day and month first. Where day and month cannot be told apart, the caller must say.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import replace

import polars as pl

from cuvee.data.files.columns.numbers import as_numbers, missing
from cuvee.data.files.raw import Rows, TimeUnit
from cuvee.errors import DataError

__all__ = ["as_seconds"]

LIKE = "a time: seconds since 1970, or like 2031-05-30 18:45:00 (--time-format says how others are written)"
CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
ZONE = r"(?P<zone>[Zz]|(?:UTC|GMT|utc|gmt)?\s*[+-]\d{1,2}(?::?\d{2})?|UTC|GMT|utc|gmt|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+)?"
REST = rf"(?:(?:[Tt\s:,]+|\s+at\s+){CLOCK})?\s*{ZONE}\s*(?:\[[^\]]*\]|\([^)]*\))?$"
YEAR_FIRST = rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){REST}"
YEAR_LAST = rf"^(?P<first>\d{{1,2}})(?P<mark>[-/.])(?P<other>\d{{1,2}})[-/.](?P<year>\d{{4}}){REST}"
WEEKDAY = r"^(?:[A-Za-z]{3,9},?\s+)?"
MONTH = r"(?P<name>[A-Za-z]{3,9})\.?"
DAY_NAMED = rf"{WEEKDAY}(?P<day>\d{{1,2}})\.?[\s/-]+{MONTH}[\s/,-]+(?P<year>\d{{4}}){REST}"
MONTH_NAMED = rf"{WEEKDAY}{MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){REST}"
CLOCK_BEFORE_YEAR = rf"{WEEKDAY}{MONTH}\s+(?P<day>\d{{1,2}})\s+{CLOCK}\s*{ZONE}\s+(?P<year>\d{{4}})$"
COMPACT = (
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:[T\s](?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?(?P<part>[.,]\d+)?)?\s*" + ZONE + "$"
)
NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: at for at, name in enumerate(NAMES, 1)}
EXCEL_EPOCH = -2_209_161_600
"""Seconds of 1899-12-30, from which Excel counts days."""
EXCEL_DAYS = (32_874, 73_051)
"""Excel's days of 1990 to 2099. As seconds since 1970 both would be in the first day of 1970."""
DATES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates without separators, by their number of digits."""
FIRST_YEAR = 365 * 86_400


def as_seconds(rows: Rows, name: str, unit: TimeUnit | None = None, form: str | None = None) -> Rows:
    """Seconds since 1970 from numbers, dates, or text of either; no zone means UTC.

    Args:
        rows: of which one column holds times; what cannot be a time is malformed.
        name: of the column.
        unit: what numbers count; None detects dates and Excel's days, and otherwise means seconds.
        form: how texts are written, as in ``strptime``, or ``"excel"``; None detects it.

    Raises:
        DataError: the column is of a type that holds no times, or day and month cannot be told apart.
    """
    kind = rows.frame.schema[name]
    if kind in (pl.Date, pl.Datetime):
        seconds = pl.col(name).cast(pl.Datetime("us")).dt.epoch("us") / 1e6
        return replace(rows, frame=rows.frame.with_columns(seconds.alias(name)))
    if kind in (pl.Time, pl.Duration) or kind.is_nested() or kind in (pl.Binary, pl.Boolean):
        raise DataError(f"{rows.file}: column {name!r} is of type {kind}; a time needs a date, or numbers")
    if kind in (pl.Categorical, pl.Enum):
        rows = replace(rows, frame=rows.frame.with_columns(pl.col(name).cast(pl.String)))
    if form is not None and form != "excel":
        return _as_told(rows, name, form)
    if rows.frame.schema[name] != pl.String:
        rows = as_numbers(rows, name)
        return _counted(rows, name, pl.col(name), unit, form)
    absent = missing(name) & (pl.col(name).str.to_lowercase() != "nan")
    rows = replace(rows, frame=rows.frame.with_columns(pl.when(~absent).then(pl.col(name)).alias(name)))
    number = pl.col(name).cast(pl.Float64, strict=False)
    texts = rows.frame.filter(number.is_null() & pl.col(name).is_not_null())[name]
    if not len(texts):
        return _counted(rows, name, number, unit, form)
    return _written(rows, name, number, unit)


def _as_told(rows: Rows, name: str, form: str) -> Rows:
    """By a format of ``strptime``."""
    kind = rows.frame.schema[name]
    value = pl.col(name)
    if kind.is_float():
        value = value.cast(pl.Int64, strict=False)
    text = value.cast(pl.String).str.strip_chars()
    try:
        seconds = text.str.to_datetime(form, strict=False, time_unit="us", ambiguous="earliest").dt.epoch("us") / 1e6
        found = rows.frame.with_columns(seconds.alias("\0seconds"))
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"--time-format {form!r} cannot be used: {problem}") from problem
    held = replace(rows, frame=found.with_columns(text.alias(name)))
    return _dropping(held.cast(name, pl.col("\0seconds"), f"a time like {form}"))


def _dropping(rows: Rows) -> Rows:
    return replace(rows, frame=rows.frame.drop("\0seconds"))


def _counted(rows: Rows, name: str, number: pl.Expr, unit: TimeUnit | None, form: str | None) -> Rows:
    """Numbers that count something."""
    given = rows.frame.select(number.alias("n")).to_series().drop_nulls()
    given = given.filter(given.is_finite())
    low, high = (float(v) if isinstance(v, int | float) else 0.0 for v in (given.min(), given.max()))
    excel = form == "excel" or (unit is None and len(given) > 0 and EXCEL_DAYS[0] <= low <= high < EXCEL_DAYS[1])
    if excel:
        seconds = number * 86_400 + EXCEL_EPOCH
        rows = rows.tell(f"{name}: {_shown(given[0])} is read as Excel's number of a day, {_day(given[0])}")
    elif unit is None and (dates := _dates(given)) is not None:
        whole = number.cast(pl.Int64, strict=False).cast(pl.String)
        seconds = whole.str.to_datetime(dates, strict=False, time_unit="us").dt.epoch("us") / 1e6
        rows = rows.tell(f"{name}: {_shown(given[0])} is read as a date written {dates}")
    else:
        seconds = number / (unit or TimeUnit.SECONDS).per_second
        early = rows.frame.filter((seconds >= 0) & (seconds < FIRST_YEAR))
        if len(early) and unit is None:
            rows = rows.tell(
                f"{name}: {len(early):,} of {len(given):,} lie in 1970, such as {early[name][0]}, if they are "
                f"{_words(unit)} since then; if not, say --time-unit or --time-format, or --map order={name} where "
                "they only tell what came before what"
            )
    return rows.cast(name, seconds, LIKE)


def _words(unit: TimeUnit | None) -> str:
    return (unit or TimeUnit.SECONDS).name.lower()


def _shown(number: float) -> str:
    return f"{number:.15g}"


def _day(number: float) -> str:
    try:
        return (dt.datetime(1899, 12, 30, tzinfo=dt.UTC) + dt.timedelta(days=float(number))).date().isoformat()
    except (OverflowError, ValueError):
        return "out of range"


def _dates(given: pl.Series) -> str | None:
    """The format of whole numbers that are all dates of 1900 to 2100 without separators."""
    if not len(given) or not (given == given.round()).all() or given.min() < 19_000_101:  # type: ignore[operator]
        return None
    texts = given.cast(pl.Int64, strict=False).cast(pl.String)
    lengths = texts.str.len_chars().unique().to_list()
    form = DATES.get(lengths[0] or 0) if len(lengths) == 1 else None
    if form is None:
        return None
    dates = texts.str.to_datetime(form, strict=False, time_unit="us")
    return form if not dates.null_count() and dates.dt.year().is_between(1900, 2100).all() else None


def _written(rows: Rows, name: str, number: pl.Expr, unit: TimeUnit | None) -> Rows:
    """Texts, of which some may be numbers."""
    # 2031年5月30日 is the year first, too
    text = rows.frame[name].str.replace(r"(\d)\s*年\s*", "${1}-").str.replace(r"(\d)\s*月\s*", "${1}-")
    text = text.str.replace(r"(\d)\s*日\s*", "${1} ").str.strip_chars()
    found = [
        _assembled(text.str.extract_groups(YEAR_FIRST)),
        _assembled(text.str.extract_groups(COMPACT)),
        _assembled(_named(text.str.extract_groups(DAY_NAMED))),
        _assembled(_named(text.str.extract_groups(MONTH_NAMED))),
        _assembled(_named(text.str.extract_groups(CLOCK_BEFORE_YEAR))),
    ]
    parts = text.str.extract_groups(YEAR_LAST)
    for mark in ("/", ".", "-"):
        fields = parts.struct.unnest()
        here = (fields["mark"] == mark).fill_null(value=False)
        if not here.any():
            continue
        day_first = _day_first(rows, name, text.filter(here), fields.filter(here))
        day, month = ("first", "other") if day_first else ("other", "first")
        fields = fields.rename({day: "day", month: "month"}).with_columns(pl.when(here).then("year").alias("year"))
        found.append(_assembled(fields.to_struct("parts")))
        rows = rows.tell(f"{name}: {text.filter(here)[0]!r} is read with the {'day' if day_first else 'month'} first")
    if all(one.null_count() == len(one) for one in found):
        return _counted(rows, name, number, unit, None)
    frame = rows.frame.with_columns(one.alias(f"\0{at}") for at, one in enumerate(found))
    counted = number / (unit or TimeUnit.SECONDS).per_second
    if unit is None:
        counted = pl.when(counted >= FIRST_YEAR).then(counted)  # a small number is a year or an ordinal
    # a compact date is a number as well; where other rows are texts it is a date
    among = pl.coalesce(*(pl.col(f"\0{at}") for at in range(len(found))), counted)
    held = replace(rows, frame=frame).cast(name, among, LIKE)
    return replace(held, frame=held.frame.drop(f"\0{at}" for at in range(len(found))))


def _day_first(rows: Rows, name: str, text: pl.Series, fields: pl.DataFrame) -> bool:
    """Whether dates that end with the year and use the same separator have the day first.

    Raises:
        DataError: both are possible, or rows contradict each other.
    """
    first, other = (fields[n].cast(pl.Int32) for n in ("first", "other"))
    days, months = text.filter(first > 12), text.filter(other > 12)
    if len(days) and len(months):
        raise DataError(
            f"{rows.file}: {name} {days[0]!r} has the day first, {months[0]!r} the month; "
            "say --time-format %d/%m/%Y or %m/%d/%Y, as most are written: the others are then reported and left out"
        )
    if len(days) or len(months):
        return bool(len(days))
    if fields["mark"][0] == ".":
        return True  # dates written with points always have the day first
    unsure = (first != other).fill_null(value=False)
    if not unsure.any():
        return True
    at = int(unsure.arg_max() or 0)
    row = fields.row(at, named=True)
    clock = f"{'%I' if row['half'] else '%H'}:%M{':%S' if row['second'] else ''}{' %p' if row['half'] else ''}"
    behind = f" {clock}" if row["hour"] else ""
    one, two = (
        f"{dt.date(2000, month, 1):%B} {day} (--time-format '{form}{behind}')"
        for month, day, form in (
            (other[at], first[at], f"%d{row['mark']}%m{row['mark']}%Y"),
            (first[at], other[at], f"%m{row['mark']}%d{row['mark']}%Y"),
        )
    )
    raise DataError(f"{rows.file}: {name} {text[at]!r} may be {one} or {two}; no row tells which, so say it")


def _named(parts: pl.Series) -> pl.Series:
    """Names of months as numbers."""
    fields = parts.struct.unnest()
    month = (
        fields["name"].str.to_lowercase().str.slice(0, 3).replace_strict(MONTHS, default=None, return_dtype=pl.Int32)
    )
    return fields.drop("name").with_columns(month.cast(pl.String).alias("month")).to_struct("parts")


def _assembled(parts: pl.Series) -> pl.Series:
    """Float64[n]: seconds from year, month, day, hour, minute, second, part, half and zone; null where no such date."""
    fields = parts.struct.unnest()
    if not fields["year"].is_not_null().any():
        return pl.Series("seconds", [None] * len(fields), pl.Float64)
    number = {n: pl.col(n).cast(pl.Int32) for n in ("year", "month", "day")}
    clock = {n: (pl.col(n).cast(pl.Int32) if n in fields.columns else pl.lit(0)).fill_null(0)
             for n in ("hour", "minute", "second")}  # fmt: skip
    part = pl.col("part").str.replace(",", ".").cast(pl.Float64, strict=False).fill_null(0.0)
    hour = clock["hour"]
    sound = (hour < 24) & (clock["minute"] < 60) & (clock["second"] < 60)
    if "half" in fields.columns:
        half = pl.col("half").str.to_lowercase().str.slice(0, 1)
        sound &= half.is_null() | hour.is_between(1, 12)
        hour = pl.when(half == "a").then(hour % 12).when(half == "p").then(hour % 12 + 12).otherwise(hour)
    dated = pl.concat_str([number[n].cast(pl.String).str.zfill(4 if n == "year" else 2) for n in number], separator="-")
    day = dated.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    moment = day + pl.duration(hours=hour, minutes=clock["minute"], seconds=clock["second"])
    made = fields.select(pl.when(sound).then(moment).alias("moment"), part.alias("part"), "zone")
    return _shifted(made)


def _shifted(made: pl.DataFrame) -> pl.Series:
    """Seconds of local moments by their zones: an offset, a name as in the IANA database, or none, which is UTC."""
    zone = pl.col("zone").str.to_uppercase().str.replace(r"^(?:UTC|GMT)\s*", "").str.replace(r"^Z$", "")
    groups = zone.str.extract_groups(r"^([+-])(\d{1,2}):?(\d{2})?$")
    sign = pl.when(groups.struct.field("1") == "-").then(-1).otherwise(1)
    hours = groups.struct.field("2").cast(pl.Int64).fill_null(0)
    minutes = groups.struct.field("3").cast(pl.Int64).fill_null(0)
    offset = sign * (hours * 3600 + minutes * 60)
    seconds = made.select(
        pl.when(zone.str.contains("/").fill_null(value=False)).then(None)
        .otherwise(pl.col("moment").dt.epoch("us") / 1e6 - offset + pl.col("part"))
    ).to_series()  # fmt: skip
    for name in made["zone"].drop_nulls().unique().to_list():
        if "/" not in name or name not in zoneinfo.available_timezones():
            continue
        local = pl.col("moment").dt.replace_time_zone(name, ambiguous="earliest", non_existent="null")
        here = made.select(
            pl.when(pl.col("zone") == name).then(local.dt.epoch("us") / 1e6 + pl.col("part"))
        ).to_series()
        seconds = here.zip_with(here.is_not_null(), seconds)
    return seconds
