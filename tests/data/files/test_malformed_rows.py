"""One file per mistake, named after it. In each the wrong row is named, and the others are kept."""

from pathlib import Path

import polars as pl
import pytest
from cuvee.data.files.cleaning import CleanOptions, clean
from cuvee.data.files.readers import gather
from cuvee.errors import DataError

HERE = Path(__file__).parent

MALFORMED = {
    "too-few-fields.csv": (3, "2 fields, expected 4"),
    "too-many-fields.csv": (3, "5 fields, expected 4"),
    "time-in-words.csv": (
        3,
        "time 'yesterday' is not a time: seconds since 1970, or like 2031-05-30 18:45:00 "
        "(--time-format says how others are written)",
    ),
    "value-in-words.csv": (3, "value 'good' is not a number"),
    "quotation-mark-never-closed.csv": (3, "its quotation marks do not make 4 fields"),
    "text-after-a-closed-quotation.csv": (3, "its quotation marks do not make 4 fields"),
    "bytes-that-are-not-utf-8.csv": (3, "not utf-8 text; say which --encoding it has"),
    "too-few-fields.dat": (2, "3 fields, expected 4"),
    "rating-in-words.data": (2, "value 'five' is not a number"),
    "unknown-occupation.dat": (2, "occupation '99' is not one of the codes 0 to 20"),
    "age-in-words.user": (2, "age 'old' is not a whole number"),
}

UNUSABLE = {
    "no-user.csv": "no user",
    "no-item.csv": "no item",
    "no-time.csv": "no time (--map order=COLUMN would place such rows)",
    "negative-time.csv": "impossible time",
    "time-not-finite.csv": "impossible time",
    "milliseconds.csv": "time after the year 5000 (is it in milliseconds? --time-unit ms)",
    "value-not-a-number.csv": "value is not finite",
    "value-infinite.csv": "value is not finite",
    "negative-weight.csv": "weight is not a number from 0 on",
    "the-same-event-again.csv": "the same event again",
}


def test_every_file_of_a_mistake_is_tried() -> None:
    assert {p.name for p in (HERE / "malformed").iterdir()} == set(MALFORMED)
    assert {p.name for p in (HERE / "unusable").iterdir()} == set(UNUSABLE)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_row_is_named_and_the_others_are_kept(name: str) -> None:
    file = HERE / "malformed" / name
    raw = gather(file)
    line, reason = MALFORMED[name]
    assert raw.malformed.select("file", "line", "reason").rows() == [(str(file), line, reason)]
    kept = [len(raw.interactions), *(len(e.frame) for e in (raw.items, raw.users) if e is not None)]
    assert sum(kept) == 2
    _, report = clean(raw)
    assert [(d.reason, d.count, d.examples) for d in report.dropped] == [
        ("malformed", 1, (f"{file}:{line}: {reason}",))
    ]


@pytest.mark.parametrize("name", MALFORMED)
def test_strict_stops_at_a_malformed_row(name: str) -> None:
    file = HERE / "malformed" / name
    line, reason = MALFORMED[name]
    with pytest.raises(DataError) as caught:
        gather(file, strict=True)
    assert str(caught.value) == f"{file}:{line}: {reason}"


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_row_is_named_and_the_others_are_kept(name: str) -> None:
    file = HERE / "unusable" / name
    dataset, report = clean(gather(file))
    assert [(d.reason, d.count, d.examples) for d in report.dropped] == [(UNUSABLE[name], 1, (f"{file}:3",))]
    assert len(dataset) == report.interactions.kept == 2
    assert report.interactions.read == 3
    assert dataset.catalog.users.frame["id"].to_list() == ["ann", "bob"]


@pytest.mark.parametrize("name", UNUSABLE)
def test_strict_stops_at_an_unusable_row(name: str) -> None:
    file = HERE / "unusable" / name
    raw = gather(file, strict=True)
    if name == "the-same-event-again.csv":  # nothing is wrong with it
        clean(raw, CleanOptions(strict=True))
        return
    with pytest.raises(DataError) as caught:
        clean(raw, CleanOptions(strict=True))
    assert str(caught.value) == f"{file}:3: {UNUSABLE[name]}"


def test_malformed_rows_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text('user,item,time\na,x,soon\nb,y\n"c,z,3\nd,w,4\n')
    raw = gather(file)
    assert raw.malformed["line"].to_list() == [2, 3, 4]
    with pytest.raises(DataError, match=r"events\.csv:2: "):
        gather(file, strict=True)


def test_many_malformed_rows_are_counted_and_a_few_named(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,item\n" + "only one field\n" * 50_000 + "a,x\n")
    dataset, report = clean(gather(file))
    assert report.count("malformed") == 50_000
    assert len(report.dropped[0].examples) == 3
    assert len(dataset) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"user,item,item\na,b,c\n", "the header names 'item' more than once"),
        (b"who,what\na,b\n", "no column that is plainly the user; say --map user=COLUMN, one of: who, what"),
        (b"user,what\na,b\n", "no column that is plainly the item; say --map item=COLUMN, one of: user, what"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        gather(file, form="csv")


@pytest.mark.parametrize("text", ["user,item,time\n", "user,item", "\n\nuser;item\n\n", "sep=;\nuser;item\n"])
def test_a_header_alone_is_nothing_to_import(text: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=r"events\.csv names columns and has no rows"):
        gather(file)
    good = tmp_path / "good.csv"
    good.write_text("user,item,time\na,x,1\n")
    (tmp_path / "items.csv").write_text("id,title\n")
    with pytest.raises(DataError, match=r"items\.csv names columns and has no rows"):
        gather(good, items=tmp_path / "items.csv")


def test_a_parquet_file_without_rows_is_nothing_to_import(tmp_path: Path) -> None:
    pl.DataFrame(schema={"user": pl.String, "item": pl.String}).write_parquet(tmp_path / "e.parquet")
    with pytest.raises(DataError, match="no rows"):
        gather(tmp_path / "e.parquet")


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    file.write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(DataError, match=r"events\.parquet cannot be read as Parquet"):
        gather(file)


def test_a_broken_packed_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "events.csv.gz"
    file.write_bytes(b"\x1f\x8b not gzip")
    with pytest.raises(DataError, match=r"events\.csv\.gz cannot be read"):
        gather(file, form="csv")
