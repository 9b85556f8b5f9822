"""Parquet as pandas and Spark write it: every type has a role, and a bad cell costs its row alone."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.dataset import Chronology, Dataset
from cuvee.data.files.cleaning import clean
from cuvee.data.files.raw import RawData
from cuvee.data.files.readers import ReadOptions, gather
from cuvee.errors import DataError

INF, NAN = float("inf"), float("nan")


def read(folder: Path, column: pl.Series, **options: object) -> RawData:
    """Items i0, i1, ... with a column ``x``."""
    frame = pl.DataFrame({"id": [f"i{n}" for n in range(len(column))], "x": column})
    frame.write_parquet(folder / "items.parquet")
    return gather(items=folder / "items.parquet", options=ReadOptions(**options))  # type: ignore[arg-type]


def survives(raw: RawData, folder: Path) -> Dataset:
    """What was read, saved and read again."""
    clean(raw)[0].save(folder / "data")
    return Dataset.load(folder / "data")


SPARSE = pl.Series([1999.0, 2001.0, NAN])
PLAIN = [
    (SPARSE, Role.NUMBER, [1999, 2001, None]),
    (pl.Series([1999.0, 2001.0, 1e20]), Role.NUMBER, [1999.0, 2001.0, 1e20]),
    (pl.Series([1, 2, 2**63], dtype=pl.UInt64), Role.NUMBER, [1.0, 2.0, 2.0**63]),
    (pl.Series([1, 2, 2**62], dtype=pl.UInt64), Role.NUMBER, [1, 2, 2.0**62]),
    (pl.Series([1, 2, 2**100], dtype=pl.Int128), Role.NUMBER, [1.0, 2.0, 2.0**100]),
    (pl.Series([1, -2, None], dtype=pl.Int8), Role.NUMBER, [1, -2, None]),
    (pl.Series([1.5, 2.5], dtype=pl.Float32), Role.NUMBER, [1.5, 2.5]),
    (pl.Series([1.5, 2.5], dtype=pl.Float16), Role.NUMBER, [1.5, 2.5]),
    (pl.Series([Decimal("1.50"), None]), Role.NUMBER, [1.5, None]),
    (pl.Series([Decimal("2.00"), Decimal("3.00")]), Role.NUMBER, [2, 3]),
    (pl.Series([dt.timedelta(hours=1), None]), Role.NUMBER, [3600, None]),
    (pl.Series([True, None, False]), Role.FLAG, [True, None, False]),
    (pl.Series(["a", "b", "a"]).cast(pl.Categorical), Role.CATEGORY, ["a", "b", "a"]),
    (pl.Series(["a", "b", "c"]).cast(pl.Categorical), Role.CATEGORY, ["a", "b", "c"]),
    (pl.Series(["a", None], dtype=pl.Enum(["a", "b"])), Role.CATEGORY, ["a", None]),
    (pl.Series(["a", "a", "b", "b", "a", "b"]), Role.CATEGORY, ["a", "a", "b", "b", "a", "b"]),
    (pl.Series(["a ", "  ", None, "b  ", "c", "d", "e", "f"]), Role.TEXT, ["a", None, None, "b", "c", "d", "e", "f"]),
    (pl.Series([b"one", b"two", b"three"]), Role.TEXT, ["one", "two", "three"]),
    (pl.Series([b"one", None, b"\xff\x00", b"w" * 1000, b"a", b"b"][:3]), Role.TEXT, ["one", None, "ff00"]),
    (pl.Series([b"\n" * 16, None, b"\x01" * 16]), Role.TEXT, ["0a" * 16, None, "01" * 16]),
    (pl.Series([b"w" * 1000, b"v", b"u"]), Role.TEXT, ["w" * 1000, "v", "u"]),
    (pl.Series([2**53 + 1, 1]), Role.NUMBER, [2**53 + 1, 1]),
    (pl.Series([dt.date(2020, 1, 1), None]), Role.OTHER, [dt.date(2020, 1, 1), None]),
    (pl.Series([dt.datetime(2020, 1, 1)], dtype=pl.Datetime("ns")), Role.OTHER, [dt.datetime(2020, 1, 1)]),
    (
        pl.Series([dt.datetime(2020, 1, 1)]).dt.replace_time_zone("Asia/Tokyo"),
        Role.OTHER,
        [dt.datetime(2019, 12, 31, 15)],
    ),
    (pl.Series([dt.time(10, 30), None]), Role.OTHER, ["10:30:00", None]),
    (pl.Series([["a", "b"], [], None]), Role.CATEGORIES, [["a", "b"], [], None]),
    (pl.Series([["a"], ["b"]], dtype=pl.List(pl.Categorical)), Role.CATEGORIES, [["a"], ["b"]]),
    (pl.Series([["a"], ["b"]], dtype=pl.List(pl.Enum(["a", "b"]))), Role.CATEGORIES, [["a"], ["b"]]),
    (pl.Series([[True], [False, True]]), Role.CATEGORIES, [["true"], ["false", "true"]]),
    (pl.Series([[1, 2], [3]]), Role.CATEGORIES, [["1", "2"], ["3"]]),
    (pl.Series([[dt.date(2020, 1, 1)], []]), Role.CATEGORIES, [["2020-01-01"], []]),
    (pl.Series([[b"a"], [b"\xff", b"b"]]), Role.CATEGORIES, [["a"], ["ff", "b"]]),
    (pl.Series([[], []], dtype=pl.List(pl.Null)), Role.CATEGORIES, [[], []]),
    (pl.Series([[None], []], dtype=pl.List(pl.Null)), Role.CATEGORIES, [[], []]),
    (pl.Series([[], []], dtype=pl.List(pl.Float32)), Role.CATEGORIES, [[], []]),
    (pl.Series([[], None], dtype=pl.List(pl.String)), Role.CATEGORIES, [[], None]),
    (pl.Series([["a", "b"]], dtype=pl.Array(pl.String, 2)), Role.CATEGORIES, [["a", "b"]]),
    (pl.Series([[1.0, 2.0], None, [3.0, 4.0]]), Role.VECTOR, [[1.0, 2.0], None, [3.0, 4.0]]),
    (pl.Series([[], [], [], [1.0, 2.0]]), Role.VECTOR, [None, None, None, [1.0, 2.0]]),
    (pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2)), Role.VECTOR, [[1.0, 2.0]]),
    (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), Role.VECTOR, [[1.0, 2.0]]),
    (pl.Series([[1.5], [2.5, 3.5], [1.0, 2.0, 3.0]]), Role.OTHER, ["[1.5]", "[2.5,3.5]", "[1.0,2.0,3.0]"]),
    (pl.Series([{"k": 1}, None], dtype=pl.Map(pl.String, pl.Int64)), Role.OTHER, ['{"k": 1}', None]),
    (pl.Series([[{"k": 1}], None], dtype=pl.List(pl.Map(pl.String, pl.Int64))), Role.OTHER, ['[{"k": 1}]', None]),
    (
        pl.Series([{"a": {"k": 1}}, None], dtype=pl.Struct({"a": pl.Map(pl.String, pl.Int64)})),
        Role.OTHER,
        ['{"a": {"k": 1}}', None],
    ),
    (pl.Series([[[1.0], [2.0]], None]), Role.OTHER, ["[[1.0],[2.0]]", None]),
    (pl.Series([{"shop": "a"}, None]), Role.OTHER, ['{"shop":"a"}', None]),
    (pl.Series([[{"shop": "a", "price": 1.0}], []]), Role.OTHER, ['[{"shop":"a","price":1.0}]', "[]"]),
]


@pytest.mark.parametrize(("column", "role", "values"), PLAIN, ids=[f"{c.dtype}-{r}" for c, r, _ in PLAIN])
def test_a_type_has_a_role_and_survives(column: pl.Series, role: Role, values: list[object], tmp_path: Path) -> None:
    raw = read(tmp_path, column)
    assert raw.malformed.is_empty()
    items = survives(raw, tmp_path).catalog.items
    assert items.roles == {"x": role}
    assert items.frame["x"].to_list() == values
    kinds = {Role.TEXT: pl.String, Role.CATEGORY: pl.String, Role.FLAG: pl.Boolean, Role.CATEGORIES: pl.List(pl.String)}
    if role in kinds:
        assert items.frame.schema["x"] == kinds[role]


BAD = [
    (pl.Series([1.0, INF, 3.0]), "x is not a finite number"),
    (pl.Series([1.0, -INF, 3.0], dtype=pl.Float32), "x is not a finite number"),
    (pl.Series([[1.0, 2.0], [1.0, NAN], [3.0, 4.0]]), "x is not a vector of 2 numbers"),
    (pl.Series([[1.0, 2.0], [1.0, INF], [3.0, 4.0]]), "x is not a vector of 2 numbers"),
    (pl.Series([[1.0, 2.0], [1.0, None], [3.0, 4.0]]), "x is not a vector of 2 numbers"),
    (pl.Series([[1.0, 2.0], [1.0], [3.0, 4.0]]), "x is not a vector of 2 numbers"),
    (pl.Series([[1.0, 2.0], [1.0, 1e300], [3.0, 4.0]]), "x is not a vector of 2 numbers"),
    (pl.Series([[1.0, 2.0], [1.0, NAN], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)), "x is not a vector of 2 numbers"),
]


@pytest.mark.parametrize(("column", "reason"), BAD)
def test_a_bad_cell_costs_its_row(column: pl.Series, reason: str, tmp_path: Path) -> None:
    raw = read(tmp_path, column)
    assert raw.malformed.select("line", "reason").rows() == [(2, reason)]
    assert survives(raw, tmp_path).catalog.items.frame["id"].to_list() == ["i0", "i2"]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None, None]),
        pl.Series([None, None], dtype=pl.String),
        pl.Series([None, None], dtype=pl.Float64),
        pl.Series([[], []], dtype=pl.Array(pl.Float32, 0)),
        pl.Series([b"\xff" * 1000, b"\xfe"]),
    ],
)
def test_a_column_that_says_nothing_is_left_out_and_told(column: pl.Series, tmp_path: Path) -> None:
    raw = read(tmp_path, column)
    assert survives(raw, tmp_path).catalog.items.roles == {}
    assert any("x " in note and "left out" in note for note in raw.notes)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("column", [c for c, _, _ in PLAIN], ids=[str(c.dtype) for c, _, _ in PLAIN])
def test_any_role_for_any_type_is_taken_or_refused(column: pl.Series, role: Role, tmp_path: Path) -> None:
    try:
        raw = read(tmp_path, column, roles={"x": role})
    except DataError:
        return
    survives(raw, tmp_path)


IDS = [
    (pl.Series([1.0, 2.0, NAN]), ["1", "2", None]),
    (pl.Series([1.5, INF, 1e20]), ["1.5", None, "1e+20"]),
    (pl.Series(["ann  ", " bob", ""]), ["ann", "bob", None]),
    (pl.Series(["nan", "None", "null", "<NA>", "NULL", "N/A", "NaN", "NaT"]), [None] * 8),
    (pl.Series(["Nan cy", "no", "na", "none of these"]), ["Nan cy", "no", "na", "none of these"]),
    (pl.Series(["1.0", "2.0", None]), ["1", "2", None]),
    (pl.Series(["1.0", "2", "3.5"]), ["1.0", "2", "3.5"]),
    (pl.Series(["007", "7"]), ["007", "7"]),
    (pl.Series([Decimal("10.00"), Decimal("11.00")]), ["10", "11"]),
    (pl.Series([2**64 - 1, 5], dtype=pl.UInt64), [str(2**64 - 1), "5"]),
    (pl.Series(["a", "b"]).cast(pl.Categorical), ["a", "b"]),
    (pl.Series([b"a", b"b"]), ["a", "b"]),
    (pl.Series([bytes(range(240, 256)), b"\xff" * 16]), ["f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "ff" * 16]),
    (pl.Series([True, False]), ["true", "false"]),
]


@pytest.mark.parametrize(("column", "ids"), IDS)
def test_ids_of_any_type(column: pl.Series, ids: list[str | None], tmp_path: Path) -> None:
    pl.DataFrame({"user": column, "item": "x", "time": 1700000000}).write_parquet(tmp_path / "e.parquet")
    raw = gather(tmp_path / "e.parquet")
    found = raw.interactions["user"].to_list() if len(raw.interactions) else []
    assert found == ids


@pytest.mark.parametrize("column", [pl.Series([[1], [2]]), pl.Series([{"a": 1}, {"a": 2}])])
def test_ids_of_no_type_are_refused(column: pl.Series, tmp_path: Path) -> None:
    pl.DataFrame({"user": column, "item": "x"}).write_parquet(tmp_path / "e.parquet")
    try:
        raw = gather(tmp_path / "e.parquet")
    except DataError as problem:
        assert "ids are text or numbers" in str(problem)
    else:
        assert raw.interactions["user"].dtype == pl.String


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", "", "  "])
def test_an_index_of_pandas_is_left_out_and_told(name: str, tmp_path: Path) -> None:
    pl.DataFrame({name: [5, 6], "id": ["a", "b"], "x": [1, 2]}).write_parquet(tmp_path / "i.parquet")
    raw = gather(items=tmp_path / "i.parquet")
    assert raw.items is not None
    assert raw.items.roles == {"x": Role.NUMBER}
    assert any(repr(name) in note and "left out" in note for note in raw.notes)
    if name.strip():
        raw = gather(items=tmp_path / "i.parquet", options=ReadOptions(columns={"row": name}))
        assert raw.items is not None
        assert list(raw.items.roles) == ["row", "x"]


ORDERS = [
    pl.Series([2, 1]), pl.Series(["2", "1"]), pl.Series([2.5, 1.5]),
    pl.Series([dt.date(2031, 1, 2), dt.date(2031, 1, 1)]),
    pl.Series(["2031-01-02", "2031-01-01"]), pl.Series([dt.datetime(2031, 1, 2), dt.datetime(2031, 1, 1)]),
]  # fmt: skip


@pytest.mark.parametrize("column", ORDERS, ids=lambda c: str(c.dtype))
def test_an_order_of_any_type(column: pl.Series, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a", "a"], "item": ["late", "early"], "nth": column})
    frame.write_parquet(tmp_path / "e.parquet")
    dataset, report = clean(gather(tmp_path / "e.parquet", options=ReadOptions(columns={"order": "nth"})))
    assert dataset.catalog.items.ids(dataset.events.items) == ["early", "late"]
    assert dataset.chronology is Chronology.ORDER
    assert report.dropped == ()


@pytest.mark.parametrize("who", ["user", "item"])
@pytest.mark.parametrize(
    "ids",
    [
        pl.Series([{"id": "a"}, {"id": "b"}]),
        pl.Series([["a"], ["b"]]),
        pl.Series([["a"], ["b"]], dtype=pl.Array(pl.String, 1)),
    ],
)
def test_nested_ids_are_refused(ids: pl.Series, who: str, tmp_path: Path) -> None:
    columns = {"user": pl.Series(["ann", "bob"]), "item": pl.Series(["x", "y"]), "time": pl.Series([1, 2]), who: ids}
    pl.DataFrame(columns).write_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=f"column '{who}' is of type .*; ids are text or numbers, one in a row"):
        gather(tmp_path / "events.parquet")


def test_ids_of_bytes_stay_apart(tmp_path: Path) -> None:
    ids = [bytes([n] * 16) for n in range(1, 256)]
    frame = pl.DataFrame({"user": ids, "item": ["x"] * 255, "time": range(255)})
    frame.write_parquet(tmp_path / "events.parquet")
    raw = gather(tmp_path / "events.parquet")
    assert raw.interactions["user"].n_unique() == 255
    assert not len(raw.malformed)


@pytest.mark.parametrize("name", ["user", "item"])
@pytest.mark.parametrize(
    ("bad", "reason"), [("x" * 257, "over 256 characters"), ("\U0001f600" * 257, "over 256"), ("a\0", "NUL")]
)
def test_ids_that_no_request_could_name_cost_their_row(name: str, bad: str, reason: str, tmp_path: Path) -> None:
    rows = [{"user": f"u{n}", "item": f"i{n}", "time": n} for n in range(3)]
    rows[1][name] = bad
    pl.DataFrame(rows).write_parquet(tmp_path / "events.parquet")
    raw = gather(tmp_path / "events.parquet")
    assert raw.interactions["user"].to_list() == ["u0", "u2"]
    assert raw.malformed["line"].to_list() == [2]
    assert name in raw.malformed["reason"][0]
    assert reason in raw.malformed["reason"][0]
