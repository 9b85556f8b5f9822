"""Whatever file is drawn: import ends with a report or a typed error, and then fit, check and loading work."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee import Dataset
from cuvee.cli import main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONFIG = """
data = "data"
artifacts = "artifacts"

[recommenders.content]
plugin = "content"
"""
PRODUCT = """
dataset = "t"
sources = [{ use = "content" }]

[fallback]
chain = ["content"]
"""

words = st.text(st.characters(codec="utf-8", exclude_characters='\0"\r\n'), max_size=12)
numbers = st.floats(width=32) | st.integers(-(2**40), 2**40).map(float)
short = st.sampled_from(["a", "b", "c|d", "1", "2.5", "yes", "no", "-", "n/a", "007", "1,5", "1.234,5", "2031-05-30"])
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pl.String, words),
    (pl.String, short),
    (pl.Float64, numbers),
    (pl.Float32, st.floats(width=32)),
    (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    (pl.UInt64, st.integers(0, 2**64 - 1)),
    (pl.Int8, st.integers(0, 1)),
    (pl.Boolean, st.booleans()),
    (pl.Null, st.none()),
    (pl.Categorical, st.sampled_from(["x", "y", "z"])),
    (pl.Enum(["x", "y"]), st.sampled_from(["x", "y"])),
    (pl.Date, st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1))),
    (pl.Datetime("ns"), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))),
    (pl.Duration("us"), st.timedeltas(dt.timedelta(-9), dt.timedelta(9))),
    (pl.Time, st.times()),
    (pl.Binary, st.binary(max_size=4)),
    (pl.Decimal(20, 2), st.integers(-999, 999).map(lambda n: Decimal(n) / 100)),
    (pl.List(pl.String), st.lists(st.none() | words, max_size=3)),
    (pl.List(pl.Float64), st.lists(st.floats(), max_size=3)),
    (pl.List(pl.Float32), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2)),
    (pl.List(pl.Int64), st.lists(st.integers(0, 9), max_size=3)),
    (pl.List(pl.Null), st.lists(st.none(), max_size=2)),
    (pl.List(pl.List(pl.Int64)), st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2)),
    (pl.Array(pl.Float32, 2), st.lists(st.floats(width=32), min_size=2, max_size=2)),
    (pl.Array(pl.Float32, 0), st.just([])),
    (pl.Struct({"a": pl.Int64}), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    (pl.List(pl.Struct({"a": pl.Int64})), st.lists(st.fixed_dictionaries({"a": st.integers(0, 9)}), max_size=2)),
]
NAMES = ["title", "genres", "price", "available", "vec", "text", "Année", "user", "weight", "time", "title "]


@st.composite
def tables(draw: st.DrawFn, n: int, names: list[str]) -> pl.DataFrame:
    """Columns of any type, each value of which may be missing."""
    columns = []
    for name in names:
        kind, value = draw(st.sampled_from(KINDS))
        values = draw(st.lists(value | st.none() if draw(st.booleans()) else value, min_size=n, max_size=n))
        columns.append(pl.Series(name, values, kind))
    return pl.DataFrame(columns)


@st.composite
def files(draw: st.DrawFn) -> tuple[pl.DataFrame, list[pl.DataFrame], bool]:
    """Events; items in one part or several; and whether they are written as CSV."""
    n = draw(st.integers(1, 6))
    events = pl.DataFrame({"user": [f"u{k % 3}" for k in range(n)], "item": [f"i{k}" for k in range(n)]})
    # most files have sound events, so that what is drawn of the items gets as far as serving
    odd = ["time", "weight", "rating", "order", "user", "item"]
    extra = draw(st.lists(st.sampled_from(odd), unique=True, max_size=2)) if draw(st.integers(0, 3)) == 0 else []
    events = events.with_columns(time=pl.lit(1_700_000_000)) if draw(st.booleans()) else events
    events = events.with_columns(draw(tables(n, extra)))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    parts = []
    for part in range(draw(st.integers(1, 3))):
        m = draw(st.integers(0 if part else 1, 5))
        ids = pl.DataFrame({"id": pl.Series([f"i{5 * part + k}" for k in range(m)], dtype=pl.String)})
        parts.append(pl.concat([ids, draw(tables(m, names))], how="horizontal") if names else ids)
    return events, parts, draw(st.booleans())


def written(folder: Path, events: pl.DataFrame, parts: list[pl.DataFrame], *, as_csv: bool) -> tuple[Path, Path]:
    """Where the events and the items lie; what CSV cannot hold becomes text."""
    if not as_csv:
        events.write_parquet(folder / "events.parquet")
        (folder / "items").mkdir()
        for at, part in enumerate(parts):
            part.write_parquet(folder / "items" / f"part-{at}.parquet")
        return folder / "events.parquet", folder / "items"
    for name, frame in (("events.csv", events), ("items.csv", parts[0])):
        plain = frame.with_columns(
            pl.Series(c.name, [None if v is None else str(v) for v in c.to_list()], pl.String)
            for c in frame
            if c.dtype.is_nested() or c.dtype in (pl.Binary, pl.Duration, pl.Null)
        )
        plain.write_csv(folder / name)
    return folder / "events.csv", folder / "items.csv"


def run(*arguments: object) -> int:
    """The exit code of a command; any exception but a typed error is one of the test."""
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=files(), second=files())
def test_any_file_into_what_any_file_has_left(
    first: tuple[pl.DataFrame, list[pl.DataFrame], bool],
    second: tuple[pl.DataFrame, list[pl.DataFrame], bool],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    place = ("--dataset", "t", "--data-dir", folder / "data")
    for at, (events, parts, as_csv) in enumerate((first, second)):
        (folder / str(at)).mkdir()
        files = written(folder / str(at), events, parts, as_csv=as_csv)
        assert run("import", files[0], "--items", files[1], *place) in {0, 2}
        assert run("import", "--items", files[1], *place) in {0, 2}
    if (folder / "data" / "t").exists():
        Dataset.load(folder / "data" / "t")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=files())
def test_any_file(
    drawn: tuple[pl.DataFrame, list[pl.DataFrame], bool],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "products").mkdir()
    (folder / "cuvee.toml").write_text(CONFIG)
    (folder / "products" / "t.toml").write_text(PRODUCT)
    events, parts, as_csv = drawn
    files = written(folder, events, parts, as_csv=as_csv)
    os.environ.pop("CUVEE_CONFIG", None)
    config = ("--config", folder / "cuvee.toml")
    code = run("import", files[0], "--items", files[1], "--dataset", "t", "--data-dir", folder / "data", *config)
    assert code in {0, 2}
    if code:
        assert not (folder / "data" / "t").exists()
        return
    data = Dataset.load(folder / "data" / "t")
    again = run("import", files[0], "--items", files[1], "--dataset", "t", "--data-dir", folder / "data", *config)
    assert again == 0  # the same files once more change nothing
    assert len(Dataset.load(folder / "data" / "t")) == len(data)
    assert run("fit", *config) == 0
    capsys.readouterr()
    assert run("check", *config) == 0
    assert "cannot be served" not in capsys.readouterr().err
