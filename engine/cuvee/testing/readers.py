"""The conformance suite of readers of files: subclass it, name the reader, and write a file of its layout.

::

    class TestMine(ReaderContract):
        reader = MyReader

        def write(self, rows, folder):
            path = folder / "plays.mine"
            ...
            return path
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from cuvee.data.files.raw import Part, RawData, Reader, ReadOptions
from cuvee.data.files.readers import BUILT_IN, choose
from cuvee.errors import DataError
from cuvee.testing.promises import promise

__all__ = ["ReaderContract"]

PLAYS = (
    {"user": "ann", "item": "007", "time": 1_600_000_000, "value": 4.5},
    {"user": "Bjørn", "item": "x y", "time": 1_600_000_060, "value": 1.0},
    {"user": "ann", "item": "x y", "time": 1_600_086_400, "value": 3.0},
)
"""Events as :meth:`ReaderContract.write` gets them: ids as text, seconds since 1970, a number."""
OTHERS: Mapping[str, bytes] = {
    "an empty file": b"",
    "one byte": b"\x00",
    "a CSV file": b"user,item,time\nann,7,1600000000\n",
    "words": b"nothing of interest\n" * 40,
    "bytes of any kind": np.random.default_rng(0).bytes(4096),
    "half a character": "ä".encode()[:1] * 9,
}


class ReaderContract:
    """Checks one reader. Subclasses set ``reader`` and say how a file of its layout is written."""

    reader: ClassVar[type[Reader]]
    """The class under test."""

    def write(self, rows: Sequence[Mapping[str, Any]], folder: Path) -> Path:
        """Write rows of interactions (columns ``user``, ``item``, ``time``, ``value``) into an empty folder.

        Returns the file or folder that ``cuvee import`` would be given.
        """
        pytest.fail(f"{type(self).__name__} must say how a file is written: `def write(self, rows, folder)`")

    def _read(self, path: Path) -> RawData:
        return self.reader().read(path, ReadOptions(part=Part.INTERACTIONS))

    def test_says_what_it_reads(self) -> None:
        """``expects`` is a few words, for the message when nothing fits."""
        expects = getattr(self.reader, "expects", None)
        promise(isinstance(expects, str) and 0 < len(expects) <= 200, f"expects must be a few words: {expects!r}")

    def test_recognises_its_own(self, tmp_path: Path) -> None:
        """``sniff`` is True for its own layout, and no other reader claims that."""
        path = self.write(PLAYS, tmp_path)
        promise(self.reader.sniff(path) is True, "sniff must be True for a file of its own layout")
        others = {name: one for name, one in BUILT_IN.items() if one is not self.reader}
        chosen = choose(path, {**others, "under test": self.reader})
        promise(type(chosen) is self.reader, f"`cuvee import` would take {type(chosen).__name__} for such a file")

    def test_leaves_others_alone(self, tmp_path: Path) -> None:
        """``sniff`` is False for other files, and never raises."""
        folder = tmp_path / "folder"
        folder.mkdir()
        promise(self.reader.sniff(folder) is False, "sniff must be False for an empty folder")
        for name, content in OTHERS.items():
            path = tmp_path / "other.bin"
            path.write_bytes(content)
            claimed = self.reader.sniff(path)
            promise(isinstance(claimed, bool), f"sniff must return a bool, also for {name}: {claimed!r}")
            promise(self.reader.general or not claimed, f"sniff must be False for {name}")

    def test_reads_what_was_written(self, tmp_path: Path) -> None:
        """Ids are text, times seconds since 1970, values numbers; each row with its file and line."""
        raw = self._read(self.write(PLAYS, tmp_path))
        promise(isinstance(raw, RawData), f"read must return RawData: {raw!r}")
        promise(not len(raw.malformed), f"well-formed rows came as malformed: {raw.malformed}")
        frame = raw.interactions
        promise({"user", "item", "file", "line"} <= {*frame.columns}, f"interactions have only {frame.columns}")
        kinds = {name: frame.schema[name] for name in ("user", "item", "file", "line")}
        right = {"user": pl.String, "item": pl.String, "file": pl.String, "line": pl.UInt32}
        promise(kinds == right, f"ids and file must be String, line UInt32: {kinds}")
        for name in ("user", "item", "time", "value"):
            came, sent = frame[name].to_list(), [row[name] for row in PLAYS]
            promise(came == sent, f"{name} came as {came}, and {sent} was written")
        promise((frame["line"] >= 1).all(), "lines are counted from 1")

    def test_many_rows(self, tmp_path: Path) -> None:
        """Nothing is lost or changed in order where there are many."""
        rows = [{**PLAYS[n % 3], "item": f"item-{n}", "time": 1_600_000_000 + n} for n in range(2_000)]
        came = self._read(self.write(rows, tmp_path)).interactions["item"].to_list()
        promise(came == [row["item"] for row in rows], f"{len(came)} of {len(rows)} rows came, or in another order")

    def test_a_damaged_file_is_told(self, tmp_path: Path) -> None:
        """Cut off or overwritten, a file is a DataError, or what can be read of it; nothing else is raised."""
        for at in (0.1, 0.5, 0.9, 0.99):
            folder = tmp_path / str(at)
            folder.mkdir()
            path = self.write(PLAYS * 20, folder)
            if path.is_dir():
                path = max(path.rglob("*"), key=lambda one: one.stat().st_size if one.is_file() else -1)
            whole = path.read_bytes()
            cut = int(at * len(whole))
            for damaged in (whole[:cut], whole[:cut] + b"\x00\xff" * 8 + whole[cut + 16 :]):
                path.write_bytes(damaged)
                try:
                    self.reader.sniff(path)
                    self._read(path)
                except DataError:
                    continue
