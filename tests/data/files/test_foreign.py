"""Files that are neither Parquet nor CSV are told for what they are, with what to do; damaged ones, too."""

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.files.readers import gather
from cuvee.errors import DataError

FRAME = pl.DataFrame({"user": ["ann", "bob"], "item": ["x", "y"], "time": [1, 2]})
CSV = FRAME.write_csv().encode()


def _ipc() -> bytes:
    file = io.BytesIO()
    FRAME.write_ipc(file)
    return file.getvalue()


def _zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _sqlite() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (a)")
    return connection.serialize()


KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "Arrow": (_ipc, r"an Arrow \(Feather\) file; write it as Parquet, in Python: polars.read_ipc\("),
    "JSON lines": (lambda: FRAME.write_ndjson().encode(), r"JSON, a record on each line; .*polars.read_ndjson\("),
    "JSON lines, gzip": (lambda: gzip.compress(FRAME.write_ndjson().encode()), r"polars.read_ndjson\("),
    "JSON": (lambda: json.dumps(FRAME.to_dicts()).encode(), r"holds JSON; .*polars.read_json\("),
    "JSON, indented": (lambda: json.dumps(FRAME.to_dicts(), indent=2).encode(), r"polars.read_json\("),
    "a page": (lambda: b"<!DOCTYPE html>\n<html><body>log in, please, now</body></html>\n", "holds HTML"),
    "XML": (lambda: b"<?xml version='1.0'?>\n<a,b/>\n", "HTML or XML"),
    "SQL": (lambda: b"INSERT INTO e VALUES ('a','b',1),('c','d',2);\n", "holds SQL; export it"),
    "SQLite": (_sqlite, "a SQLite database; export it"),
    "a pickle": (lambda: b"\x80\x04\x95\x1f\0\0\0\0\0\0\0", "a pickle; export it"),
    "a workbook": (lambda: _zipped(**{"[Content_Types].xml": b"<a/>"}), "a workbook; save its sheet as CSV"),
    "two in one": (lambda: _zipped(**{"a.csv": CSV, "b.csv": CSV}), "packs 2 files; unpack it"),
    "lz4": (lambda: b"\x04\x22\x4d\x18" + bytes(20), "packed with lz4, .* unpack it first"),
    "half a gzip": (lambda: gzip.compress(CSV * 100)[:60], "cannot be read: .*is it whole"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "no layout that a reader knows"),
}


@pytest.mark.parametrize("name", ["events.csv", "events.dat", "events"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_table_of_ours_is_told_with_the_remedy(kind: str, name: str, tmp_path: Path) -> None:
    make, message = KINDS[kind]
    file = tmp_path / name
    file.write_bytes(make())
    for part in ({"path": file}, {"items": file}, {"users": file}):
        with pytest.raises(DataError, match=message):
            gather(**part)  # type: ignore[arg-type]


def test_a_folder_of_text_files_is_imported_one_by_one(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"part-{n}.csv").write_bytes(CSV)
    with pytest.raises(DataError, match=r"imported one by one.*part-0\.csv first"):
        gather(tmp_path)


def test_what_lies_beside_parquet_parts_is_no_matter(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "part-0.parquet")
    (tmp_path / "notes.txt").write_text("made by hand")
    assert len(gather(tmp_path).interactions) == 2


@pytest.mark.parametrize("names", ["ann,x,1700000000", "1,2,3", "ann,x,2031-05-30"])
def test_a_file_without_a_header_is_told(names: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"{names}\nbob,y,1700000001\n")
    with pytest.raises(DataError, match="or does the file have no header"):
        gather(file)
