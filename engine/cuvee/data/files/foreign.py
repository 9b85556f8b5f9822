"""Files that are neither Parquet nor CSV, by their first bytes, and what to do with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cuvee.data.files.packed import beginning

__all__ = ["advice"]

LZ4 = b"\x04\x22\x4d\x18"
EXPORT = "export it as Parquet or CSV"
CONVERT = "write it as Parquet, in Python: polars.{}({!r}).write_parquet({!r})"
BINARY: Sequence[tuple[bytes, str, str]] = (
    (b"ARROW1", "an Arrow (Feather) file", "read_ipc"),
    (b"FEA1", "a Feather file of the first version", ""),
    (b"Obj\x01", "an Avro file", "read_avro"),
    (b"ORC", "an ORC file", ""),
    (b"SQLite format 3", "a SQLite database", ""),
    (b"\x80\x04", "a pickle", ""),
    (b"\x80\x05", "a pickle", ""),
    (b"\x89HDF", "an HDF5 file", ""),
    (b"%PDF", "a PDF", ""),
)
"""What a file begins with, what it is, and how Polars reads it."""


TEXTS: Sequence[tuple[str, str, str]] = (
    (r'\{[^\n]*"', "JSON, a record on each line", "read_ndjson"),
    (r"\[\s*\{", "JSON", "read_json"),
    (r"(?i)<(?:!doctype|html|\?xml)", "HTML or XML, such as a page that was saved instead of the data", ""),
    (r"(?i)(?:insert into|create table|-- mysql dump|-- postgresql) ", "SQL", ""),
)
"""How a text begins, what it holds, and how Polars reads it."""


def advice(path: Path) -> str | None:
    """What a file or folder is that no reader takes, and what to do with it, as one sentence; None: not known."""
    if path.is_dir():
        return _of_folder(path)
    first, fault = beginning(path)
    if fault is not None:
        return fault
    if first.startswith(LZ4):
        return f"{path} is packed with lz4, which is not unpacked here; unpack it first"
    text = first.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    found = next(((f"is {what}", how) for mark, what, how in BINARY if first.startswith(mark)), None)
    found = found or next(((f"holds {what}", how) for form, what, how in TEXTS if re.match(form, text)), None)
    if found is None:
        return None
    what, function = found
    remedy = CONVERT.format(function, str(path), str(path.with_suffix(".parquet"))) if function else EXPORT
    return f"{path} {what}; {remedy}"


def _of_folder(path: Path) -> str | None:
    tables = [file for file in sorted(path.iterdir()) if file.suffix in {".csv", ".tsv", ".gz", ".txt"}]
    if not tables:
        return None
    return (
        f"{path} is a folder with text files, which are imported one by one, as a dataset is added to: give "
        f"{tables[0]} first, then each of the others in a command of its own"
    )
