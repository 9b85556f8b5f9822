"""A folder of Parquet files is one table: its types are decided over all parts, and what differs is told."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.files.cleaning import clean
from cuvee.data.files.raw import LINE, Part, Rows
from cuvee.data.files.readers import gather
from cuvee.errors import DataError

TEXTS = pl.Series(["Drama", "Noir"])
CASES = {
    "text and listed text": (
        [TEXTS, pl.Series(["Drama|Noir"])], Role.CATEGORIES, [["Drama"], ["Noir"], ["Drama", "Noir"]]
    ),
    "text and lists": ([TEXTS, pl.Series([["a", "b"]])], Role.CATEGORIES, [["Drama"], ["Noir"], ["a", "b"]]),
    "listed text and lists": ([pl.Series(["a|b"]), pl.Series([["c"]])], Role.CATEGORIES, [["a", "b"], ["c"]]),
    "text and numbers": ([pl.Series(["XL", "M"]), pl.Series([10, 12])], Role.TEXT, ["XL", "M", "10", "12"]),
    "text and floats": ([pl.Series(["XL", "M"]), pl.Series([10.0, 1.5])], Role.TEXT, ["XL", "M", "10", "1.5"]),
    "numbers in text and numbers": ([pl.Series(["10"]), pl.Series([12])], Role.NUMBER, [10, 12]),
    "values and nulls": (
        [pl.Series([["a"], ["b"]]), pl.Series([None, None])], Role.CATEGORIES, [["a"], ["b"], None, None]
    ),
    "nulls and values": ([pl.Series([None]), pl.Series([1.5])], Role.NUMBER, [None, 1.5]),
    "text and typed nulls": ([TEXTS, pl.Series([None], dtype=pl.Float64)], Role.TEXT, ["Drama", "Noir", None]),
    "whole numbers and fractions": ([pl.Series([1]), pl.Series([1.5])], Role.NUMBER, [1.0, 1.5]),
    "whole numbers and NaN": ([pl.Series([1]), pl.Series([float("nan")])], Role.NUMBER, [1, None]),
    "large whole numbers of two types": (
        [pl.Series([2**63], dtype=pl.UInt64), pl.Series([1], dtype=pl.Int128)], Role.NUMBER, [2.0**63, 1.0]
    ),
    "small and large whole numbers": (
        [pl.Series([1], dtype=pl.Int8), pl.Series([2**63], dtype=pl.UInt64)], Role.NUMBER, [1.0, 2.0**63]
    ),
    "categories and text": ([TEXTS.cast(pl.Categorical), pl.Series(["x"])], Role.CATEGORY, ["Drama", "Noir", "x"]),
    "flags and text": ([pl.Series([True]), pl.Series(["false"])], Role.FLAG, [True, False]),
    "dates and moments": (
        [pl.Series([dt.date(2020, 1, 1)]), pl.Series([dt.datetime(2020, 1, 2)])],
        Role.OTHER,
        [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)],
    ),
    "dates and text": ([pl.Series([dt.date(2020, 1, 1)]), pl.Series(["soon"])], Role.CATEGORY, ["2020-01-01", "soon"]),
    "vectors of lists and arrays": (
        [pl.Series([[1.0, 2.0]]), pl.Series([[3.0, 4.0]], dtype=pl.Array(pl.Float32, 2))],
        Role.VECTOR,
        [[1.0, 2.0], [3.0, 4.0]],
    ),
    "empty lists and lists": (
        [pl.Series([[]], dtype=pl.List(pl.Null)), pl.Series([["a"]])], Role.CATEGORIES, [[], ["a"]]
    ),
    "labels and numbers in lists": ([pl.Series([["a"]]), pl.Series([[1]])], Role.CATEGORIES, [["a"], ["1"]]),
    "structs and text": ([pl.Series([{"a": 1}]), pl.Series(["b"])], Role.OTHER, ['{"a":1}', "b"]),
}  # fmt: skip


def write(folder: Path, columns: list[pl.Series | None]) -> Path:
    """One part for each column, with ids that go on; None is a part without the column."""
    folder.mkdir(exist_ok=True)
    at = 0
    for number, column in enumerate(columns):
        n = 1 if column is None else len(column)
        frame = pl.DataFrame({"id": pl.Series([f"i{at + k}" for k in range(n)], dtype=pl.String)})
        frame = frame if column is None else frame.with_columns(column.alias("x"))
        frame.write_parquet(folder / f"part-{number}.parquet")
        at += n
    return folder


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_parts_of_different_types(case: str, backwards: bool, tmp_path: Path) -> None:
    columns, role, values = CASES[case]
    if backwards:
        sizes = [len(c) for c in columns]
        values = [*values[sizes[0] :], *values[: sizes[0]]]
        columns = columns[::-1]
    raw = gather(items=write(tmp_path / "items", list(columns)))
    assert raw.malformed.is_empty()
    assert raw.items is not None
    dataset, _ = clean(raw)
    assert dataset.catalog.items.frame["x"].to_list() == values
    if case not in {"structs and text", "categories and text"}:  # whose first part decides between two of text
        assert raw.items.roles == {"x": role}


@pytest.mark.parametrize(
    "empty",
    [
        pl.Series([], dtype=pl.Null),
        pl.Series([], dtype=pl.String),
        pl.Series([], dtype=pl.Float64),
        pl.Series([], dtype=pl.List(pl.Float64)),
        pl.Series([], dtype=pl.Struct({"a": pl.Int64})),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_an_empty_part_decides_nothing(empty: pl.Series, first: bool, tmp_path: Path) -> None:
    full = [pl.Series([["a"], ["b"]])]
    raw = gather(items=write(tmp_path / "items", [empty, *full] if first else [*full, empty]))
    assert raw.items is not None
    assert raw.items.roles == {"x": Role.CATEGORIES}
    assert raw.items.frame["x"].to_list() == [["a"], ["b"]]


def test_a_part_without_a_column(tmp_path: Path) -> None:
    raw = gather(items=write(tmp_path / "items", [None, pl.Series([1.5, 2.5]), None]))
    assert raw.items is not None
    assert raw.items.frame["x"].to_list() == [None, 1.5, 2.5, None]


def test_different_types_are_told(tmp_path: Path) -> None:
    notes = gather(items=write(tmp_path / "items", [pl.Series(["XL"]), pl.Series([10])])).notes
    assert notes[0] == "items: x is String, Int64 in different parts, and is read as String"


def test_a_bad_cell_is_told_by_part_row_and_column(tmp_path: Path) -> None:
    folder = write(tmp_path / "items", [pl.Series([1.0, 2.0]), pl.Series([3.0, float("inf")])])
    raw = gather(items=folder)
    assert raw.malformed.select("file", "line", "reason").rows() == [
        (str(folder / "part-1.parquet"), 2, "x is not a finite number")
    ]
    assert len(clean(raw)[0].catalog.items) == 3


def test_ids_are_the_same_in_all_parts(tmp_path: Path) -> None:
    for number, users in enumerate([pl.Series([1, 2]), pl.Series([1.0, None]), pl.Series(["2", "x"])]):
        frame = pl.DataFrame({"user": users, "item": ["a", "b"], "time": [1700000000 + number] * 2})
        frame.write_parquet(tmp_path / f"part-{number}.parquet")
    assert gather(tmp_path).interactions["user"].to_list() == ["1", "2", "1", None, "2", "x"]


def test_partitions_as_spark_writes_them(tmp_path: Path) -> None:
    for genre in ("noir", "drama"):
        folder = tmp_path / "items" / f"genre={genre}"
        folder.mkdir(parents=True)
        pl.DataFrame({"id": [f"{genre}-1"]}).write_parquet(folder / "part-0.snappy.parquet")
        (folder / "_metadata.parquet").write_bytes(b"no part")
    (tmp_path / "items" / "_SUCCESS").touch()
    raw = gather(items=tmp_path / "items")
    assert raw.items is not None
    assert sorted(raw.items.frame["id"].to_list()) == ["drama-1", "noir-1"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 broken PAR1"])
def test_a_broken_part_is_named(content: bytes, tmp_path: Path) -> None:
    write(tmp_path / "items", [pl.Series([1])])
    (tmp_path / "items" / "part-9.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"part-9\.parquet cannot be read as Parquet"):
        gather(items=tmp_path / "items")


def test_bad_cells_of_a_later_part_alone_are_told() -> None:
    """Polars 2 panics in pl.format where the first chunk of a column is empty."""
    parts = [pl.DataFrame({"price": values}) for values in (["1", "2"], ["", "dear"])]
    frame = pl.concat(parts, rechunk=False).with_columns(pl.Series(LINE, [1, 2, 3, 4], dtype=pl.UInt32))
    assert frame["price"].n_chunks() == 2
    told = Rows.of(Part.ITEMS, "items", frame).numbers("price").malformed
    assert told["reason"].to_list() == ["price '' is not a number", "price 'dear' is not a number"]
