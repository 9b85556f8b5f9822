"""Times as people write them: taken, or told by name; never silently a day of 1970."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.files.raw import RawData, TimeUnit
from cuvee.data.files.readers import ReadOptions, gather
from cuvee.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st

MOMENT = 1937933100  # 2031-05-30 18:45 UTC
DAY = 1937865600  # 2031-05-30


def read(folder: Path, *texts: str, **options: object) -> RawData:
    """A tab-separated file with these times, each in a row of its own."""
    file = folder / "e.tsv"
    file.write_text("user\titem\ttime\n" + "".join(f"u{at}\tx\t{text}\n" for at, text in enumerate(texts)))
    return gather(file, options=ReadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2031-05-30 18:45:00 UTC", MOMENT),
        ("2031-05-30 18:45:00 GMT", MOMENT),
        ("2031-05-30 18:45:00+00", MOMENT),
        ("2031-05-30T18:45:00+0000", MOMENT),
        ("2031-05-30T18:45:00-00:00", MOMENT),
        ("2031-05-30t18:45:00z", MOMENT),
        ("2031-05-30T18:45Z", MOMENT),
        ("2031-05-30T18:45:00 +02", MOMENT - 7200),
        ("2031-05-30T18:45:00+05:30", MOMENT - 19800),
        ("2031-05-30T18:45:00-0330", MOMENT + 12600),
        ("2031-05-30T18:45:00+14", MOMENT - 50400),
        ("2031-05-30 18:45:00 UTC+2", MOMENT - 7200),
        ("2031-05-30T20:45+02:00[Europe/Berlin]", MOMENT),
        ("2031-05-30 20:45:00 Europe/Berlin", MOMENT),
        ("2031-05-30T18:45:00.123456789Z", MOMENT + 0.123456789),
        ("2031-05-30 18:45:00,250", MOMENT + 0.25),
        ("2031-5-30 6:45 PM", MOMENT),
        ("2031-05-30 12:00 a.m.", DAY),
        ("2031/05/30 18:45", MOMENT),
        ("2031/05/30", DAY),
        ("2031.05.30", DAY),
        ("2031年5月30日 18:45", MOMENT),
        ("2031年05月30日18:45:00", MOMENT),
        ("2031年5月30日", DAY),
        ("20310530T184500Z", MOMENT),
        ("20310530", DAY),
        ("203105301845", MOMENT),
        ("20310530184500", MOMENT),
        ("30.05.2031", DAY),
        ("30.5.2031 18:45", MOMENT),
        ("01.02.2031", 1927670400),  # before a point stands the day
        ("30/05/2031 18:45:00", MOMENT),
        ("05/30/2031 06:45 PM", MOMENT),
        ("30-05-2031", DAY),
        ("05/05/2031", 1935705600),
        ("30 May 2031", DAY),
        ("30-May-2031 18:45", MOMENT),
        ("May 30, 2031", DAY),
        ("May 30, 2031 at 6:45 PM", MOMENT),
        ("Fri, 30 May 2031 18:45:00 GMT", MOMENT),
        ("Fri May 30 2031 20:45:00 GMT+0200 (CEST)", MOMENT),
        ("Fri May 30 18:45:00 2031", MOMENT),
        ("Fri May 30 18:45:00 +0000 2031", MOMENT),
        ("30/May/2031:18:45:00 +0000", MOMENT),
        ("47998", 1937865600),
        ("47998.78125", MOMENT),
        ("1937933100", MOMENT),
        ("1.9379331e9", MOMENT),
    ],
)
def test_taken(text: str, seconds: float, tmp_path: Path) -> None:
    raw = read(tmp_path, text)
    assert raw.malformed.is_empty()
    assert raw.interactions["time"].to_list() == [pytest.approx(seconds, abs=1e-5)]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2031-02-30", "2031-05-30 25:00", "2031-05-30 18:61", "10:00", "2031-W22-5", "30.05.31", "5 Dez 2031",
     "2031-05-30 18:45:00 CEST", "2031-05-30 18:45:00 Nowhere/Land", "13:00 PM 2031-05-30", "2031"],
)  # fmt: skip
def test_told_by_row_beside_good_ones(text: str, tmp_path: Path) -> None:
    raw = read(tmp_path, "2031-05-30 18:45", text)
    assert raw.interactions["time"].to_list() == [MOMENT]
    assert raw.malformed["line"].to_list() == [3]
    assert f"time '{text[:40]}' is not a time" in raw.malformed["reason"][0]
    assert "--time-format" in raw.malformed["reason"][0]


@pytest.mark.parametrize("text", ["n/a", "NULL", "None", "-", ""])
def test_a_word_for_nothing_among_numbers_changes_not_what_they_count(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, "47998", text, "47999").interactions["time"].to_list() == [DAY, None, DAY + 86400]
    assert read(tmp_path, "1937933100", text).interactions["time"].to_list() == [MOMENT, None]


@pytest.mark.parametrize("mark", ["/", "-"])
@pytest.mark.parametrize(
    ("clock", "form"), [("", ""), (" 10:00", " %H:%M"), (" 10:00:30", " %H:%M:%S"), (" 10:00 PM", " %I:%M %p")]
)
def test_which_of_day_and_month_comes_first_is_asked_where_no_row_tells(
    mark: str, clock: str, form: str, tmp_path: Path
) -> None:
    text = mark.join(["05", "06", "2031"]) + clock
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, mark.join(["01", "01", "2031"]) + clock)
    days, months = (f"%{a}{mark}%{b}{mark}%Y{form}" for a, b in ("dm", "md"))
    assert f"'{text}' may be June 5 (--time-format '{days}') or May 6 (--time-format '{months}')" in str(caught.value)
    day = dt.datetime(2031, 6, 5, tzinfo=dt.UTC).timestamp()
    assert read(tmp_path, text, time_format=days).interactions["time"][0] // 86400 * 86400 == day
    assert read(tmp_path, text, time_format=months).interactions["time"][0] // 86400 * 86400 == day - 30 * 86400


def test_one_row_tells_for_all(tmp_path: Path) -> None:
    first, _ = read(tmp_path, "05/06/2031", "13/06/2031").interactions["time"]
    assert first == dt.datetime(2031, 6, 5, tzinfo=dt.UTC).timestamp()
    first, _ = read(tmp_path, "05/06/2031", "06/13/2031").interactions["time"]
    assert first == dt.datetime(2031, 5, 6, tzinfo=dt.UTC).timestamp()


def test_rows_that_contradict_each_other_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'13/06/2031' has the day first, '06/13/2031' the month; say --time-format"):
        read(tmp_path, "13/06/2031", "06/13/2031")


@pytest.mark.parametrize("text", ["47998", "20310530", "30/05/2031"])
def test_what_was_taken_for_what_is_told(text: str, tmp_path: Path) -> None:
    assert any(text in note and "is read" in note for note in read(tmp_path, text).notes)


@pytest.mark.parametrize("texts", [("2031", "2030"), ("19720", "19721"), ("1", "2", "3"), ("47998", "1937933100")])
def test_seconds_in_1970_are_told(texts: tuple[str, ...], tmp_path: Path) -> None:
    raw = read(tmp_path, *texts)
    assert [t for t in raw.interactions["time"] if t < 86400 * 365]
    assert any("lie in 1970" in note and "--time-unit" in note and "--map order=time" in note for note in raw.notes)
    assert not any("1970" in note for note in read(tmp_path, *texts, time_unit=TimeUnit.SECONDS).notes)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [(TimeUnit.MILLISECONDS, 10**3), (TimeUnit.MICROSECONDS, 10**6), (TimeUnit.NANOSECONDS, 10**9)],
)
def test_numbers_that_count_less_than_seconds(unit: TimeUnit, factor: int, tmp_path: Path) -> None:
    assert read(tmp_path, str(MOMENT * factor), time_unit=unit).interactions["time"].to_list() == [MOMENT]


@pytest.mark.parametrize(
    ("form", "text", "seconds"),
    [
        ("%d.%m.%y", "30.05.31", DAY),
        ("%Y%m%d", "20310530", DAY),
        ("%m/%d/%Y %H:%M", "05/30/2031 18:45", MOMENT),
        ("%d %B %Y, %I:%M %p", "30 May 2031, 06:45 PM", MOMENT),
        ("%Y-%m-%d %H:%M %z", "2031-05-30 20:45 +0200", MOMENT),
        ("%Y-%m", "2031-05", 1935360000),
        ("excel", "40", -2205705600),
    ],
)
def test_a_format_that_is_given(form: str, text: str, seconds: float, tmp_path: Path) -> None:
    assert read(tmp_path, text, time_format=form).interactions["time"].to_list() == [seconds]


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%Q", "%", "words", ""])
def test_a_format_that_does_not_fit_costs_the_rows(form: str, tmp_path: Path) -> None:
    raw = read(tmp_path, "2031-05-30", time_format=form)
    assert raw.interactions.is_empty()
    assert raw.malformed["reason"].to_list() == [f"time '2031-05-30' is not a time like {form}"]


MOMENTS = [dt.datetime(2031, 5, 30, 18, 45), None]


@pytest.mark.parametrize(
    "kind",
    [
        pl.Datetime("ms"),
        pl.Datetime("us"),
        pl.Datetime("ns"),
        pl.Datetime("us", "UTC"),
        pl.Datetime("ns", "Asia/Tokyo"),
    ],
)
def test_moments_of_parquet(kind: pl.Datetime, tmp_path: Path) -> None:
    column = pl.Series("time", MOMENTS, pl.Datetime("us"))
    if kind.time_zone:
        column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "time": column.cast(kind)})
    frame.write_parquet(tmp_path / "e.parquet")
    assert gather(tmp_path / "e.parquet").interactions["time"].to_list() == [MOMENT, None]


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        (pl.Series([dt.date(2031, 5, 30)]), DAY),
        (pl.Series([20310530], dtype=pl.Int32), DAY),
        (pl.Series([20310530.0]), DAY),
        (pl.Series([MOMENT], dtype=pl.UInt64), MOMENT),
        (pl.Series([str(MOMENT)]).cast(pl.Decimal(20, 3)), MOMENT),
        (pl.Series(["2031-05-30 18:45"]).cast(pl.Categorical), MOMENT),
        (pl.Series(["2031-05-30 18:45"], dtype=pl.Enum(["2031-05-30 18:45"])), MOMENT),
        (pl.Series([b"2031-05-30 18:45"]), MOMENT),
    ],
)
def test_other_types_of_parquet(column: pl.Series, seconds: float, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a"], "item": ["x"]}).with_columns(column.alias("time"))
    frame.write_parquet(tmp_path / "e.parquet")
    assert gather(tmp_path / "e.parquet").interactions["time"].to_list() == [seconds]


@pytest.mark.parametrize(
    "column", [pl.Series([dt.time(18, 45)]), pl.Series([{"seconds": 5}]), pl.Series([[1, 2]]), pl.Series([True])]
)
def test_a_type_that_holds_no_times_is_named(column: pl.Series, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a"], "item": ["x"]}).with_columns(column.alias("time"))
    frame.write_parquet(tmp_path / "e.parquet")
    try:
        raw = gather(tmp_path / "e.parquet")
    except DataError as problem:
        assert "'time'" in str(problem)
    else:
        assert len(raw.malformed) == 1


@settings(max_examples=40, deadline=None)
@given(
    moment=st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2099, 1, 1)).map(lambda d: d.replace(microsecond=0)),
    form=st.sampled_from(
        ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S",
         "%d %B %Y %H:%M:%S", "%B %d, %Y %I:%M:%S %p", "%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y",
         "%d/%b/%Y:%H:%M:%S +0000", "%Y-%m-%dT%H:%M:%S+00:00"]
    ),
)  # fmt: skip
def test_a_moment_is_the_same_however_it_is_written(
    moment: dt.datetime, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = read(tmp_path_factory.mktemp("t"), moment.strftime(form))
    assert raw.interactions["time"].to_list() == [moment.replace(tzinfo=dt.UTC).timestamp()]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(blacklist_characters='\t\n\r"\0', blacklist_categories=["Cs"])), min_size=1)
)
def test_any_text_is_a_time_or_told(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("t")
    try:
        raw = read(folder, *texts)
    except DataError:
        return
    assert len(raw.interactions) + len(raw.malformed) == len(texts)
