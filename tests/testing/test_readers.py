"""The suite of readers: the engine's own pass, and broken ones are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee import Reader, ReadOptions, TableReader
from cuvee.data.files.tabular import CsvReader, ParquetReader
from cuvee.testing import ReaderContract

Row = Mapping[str, Any]


class TestCsv(ReaderContract):
    reader = CsvReader

    def write(self, rows: Sequence[Row], folder: Path) -> Path:
        pl.DataFrame(rows).write_csv(path := folder / "plays.csv")
        return path


class TestParquet(ReaderContract):
    reader = ParquetReader

    def write(self, rows: Sequence[Row], folder: Path) -> Path:
        pl.DataFrame(rows).write_parquet(path := folder / "plays.parquet")
        return path


class Lines(TableReader):
    expects = "one JSON object a line"

    @classmethod
    def sniff(cls, path: Path) -> bool:
        return path.is_file() and path.read_bytes()[:1] == b"{"

    def table(self, path: Path) -> pl.DataFrame:
        return pl.DataFrame([json.loads(line) for line in path.read_text().splitlines()])


class OfLines(ReaderContract):
    def write(self, rows: Sequence[Row], folder: Path) -> Path:
        path = folder / "plays.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return path


class TestTable(OfLines):
    reader = Lines


class Greedy(Lines):
    @classmethod
    def sniff(cls, path: Path) -> bool:
        return path.is_file()


class Raises(Lines):
    @classmethod
    def sniff(cls, path: Path) -> bool:
        return json.loads(path.read_text().splitlines()[0]) is not None


class Numbers(Lines):
    def table(self, path: Path) -> pl.DataFrame:
        return super().table(path).with_columns(item=pl.col("item").str.strip_chars("0"))


class Loses(Lines):
    def table(self, path: Path) -> pl.DataFrame:
        return super().table(path).unique("user", maintain_order=True)


class Silent(Lines):
    expects = ""


class Bare(Lines):
    def read(self, path: Path, options: ReadOptions) -> Any:
        return super().table(path)


class Crashes(Lines):
    def read(self, path: Path, options: ReadOptions) -> Any:
        super().table(path)
        return super().read(path, options)


@pytest.mark.parametrize(
    ("reader", "check", "told"),
    [
        (Greedy, "test_leaves_others_alone", "must be False"),
        (Numbers, "test_reads_what_was_written", "item came as"),
        (Loses, "test_many_rows", "of 2000 rows"),
        (Silent, "test_says_what_it_reads", "a few words"),
        (Bare, "test_reads_what_was_written", "RawData"),
    ],
)
def test_a_broken_reader_is_told(reader: type[Reader], check: str, told: str, tmp_path: Path) -> None:
    suite = type("Suite", (OfLines,), {"reader": reader})()
    method: Callable[..., None] = getattr(suite, check)
    with pytest.raises(AssertionError, match=told):
        method(*([tmp_path] if check != "test_says_what_it_reads" else []))


@pytest.mark.parametrize(
    ("reader", "check"), [(Raises, "test_leaves_others_alone"), (Crashes, "test_a_damaged_file_is_told")]
)
def test_what_a_reader_raises_is_shown(reader: type[Reader], check: str, tmp_path: Path) -> None:
    suite = type("Suite", (OfLines,), {"reader": reader})()
    with pytest.raises((ValueError, OSError, IndexError)):
        getattr(suite, check)(tmp_path)
