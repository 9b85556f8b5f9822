"""Text files with separated fields, taken apart at the speed of Polars, with each row's line number.

Lines without a quotation mark are split all at once. Only those with one go through the csv
module, so that quoted separators and line breaks are understood and a stray mark costs one row,
not the rest of the file.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from cuvee.data.files.raw import LINE, Part, Rows
from cuvee.errors import DataError

__all__ = ["head", "read_delimited", "split_header"]

TEXT = "\0text"
LONGEST_FIELD = 1000
"""A quoted field that spans more lines than this was never closed."""
SEPARATORS = (",", "\t", ";", "|")


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")


def head(path: Path, lines: int = 20) -> list[str]:
    """The first lines that are not blank, without their ends; none where they cannot be read."""
    try:
        with _open(path) as file:
            block = file.read(1 << 16)
    except (OSError, EOFError):
        return []
    if b"\0" in block:
        return []
    text = block.decode("latin-1").removeprefix("\xef\xbb\xbf")
    return list(islice((line.rstrip("\r") for line in text.split("\n") if line.strip()), lines))


def split_header(line: str, separator: str | None) -> tuple[list[str], str]:
    """The names in a header line, and the separator: the usual one that is there most where not given."""
    chosen = separator or max(SEPARATORS, key=line.count)
    return [name.strip() for name in next(csv.reader([line], delimiter=chosen))], chosen


def _lines(path: Path, encoding: str | None, fallback: str | None) -> tuple[pl.DataFrame, list[int]]:
    """All lines with their numbers (columns LINE, TEXT), and the numbers of those that cannot be decoded."""
    try:
        with _open(path) as file:
            data = file.read()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    undecodable: list[int] = []
    codec = encoding or "utf-8"
    try:
        text = data.decode(codec)
        data = data if encoding is None else text.encode()
    except LookupError as error:
        raise DataError(f"{encoding!r} is no known encoding; try utf-8, latin-1 or cp1252") from error
    except UnicodeDecodeError:
        if encoding is None and fallback is not None:
            data = data.decode(fallback).encode()
        else:
            kept = []
            for number, line in enumerate(data.split(b"\n"), 1):
                try:
                    kept.append(line.decode(codec).encode())
                except UnicodeDecodeError:
                    kept.append(b"")
                    undecodable.append(number)
            data = b"\n".join(kept)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataError(f"{path} is empty")
    frame = pl.read_lines(io.BytesIO(data), name=TEXT, row_index_name=LINE, row_index_offset=1)
    return frame.with_columns(pl.col(TEXT).str.strip_chars_end("\r")), undecodable


def _fields(text: str, separator: str, width: int) -> list[str] | None:
    """One record by the rules of CSV, or None where it does not have ``width`` fields."""
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 and len(found[0]) == width else None


def _quoted(
    lines: pl.DataFrame, separator: str, columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Take out the records with quotation marks: (their fields, the bad ones' first lines, the other lines)."""
    marks = lines[TEXT].str.count_matches('"', literal=True).to_numpy()
    starts = np.flatnonzero(marks)
    odd = np.flatnonzero(marks % 2)
    numbers = lines[LINE].to_numpy()
    texts = dict(zip(starts.tolist(), lines[TEXT].gather(starts).to_list(), strict=True))
    plain = np.ones(len(lines), np.bool_)
    records: list[tuple[int | str, ...]] = []
    bad: list[int] = []
    resume = 0
    for start, text in texts.items():
        if start < resume:
            continue
        plain[start] = False
        end = start
        found = _fields(text, separator, len(columns))
        if found is None and marks[start] % 2:
            # a field opened here closes on the next line with an odd number of marks
            following = int(np.searchsorted(odd, start, side="right"))
            if following < len(odd) and odd[following] - start <= LONGEST_FIELD:
                end = int(odd[following])
                found = _fields("\n".join(lines[TEXT][start : end + 1].to_list()), separator, len(columns))
        if found is None:
            bad.append(start)
            continue
        plain[start : end + 1] = False
        resume = end + 1
        records.append((int(numbers[start]), *found))
    frame = pl.DataFrame(records, schema={LINE: pl.UInt32, **dict.fromkeys(columns, pl.String)}, orient="row")
    return frame, lines[bad], lines.filter(pl.Series(plain))


def read_delimited(
    path: Path,
    part: Part,
    *,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
    quoted: bool = False,
    encoding: str | None = None,
    fallback: str | None = None,
) -> Rows:
    """Read a text file into rows of text; an empty field is null, blank lines do not count.

    Parameters:
        path: a text file, or one packed by gzip (``.gz``).
        part: what it holds, for the complaints.
        separator: between fields, of any length; None chooses by the header.
        columns: the fields' names; None takes them from the first line.
        quoted: whether quotation marks may enclose a field.
        encoding: None is UTF-8.
        fallback: the encoding where it turns out not to be UTF-8; None makes a row malformed instead.

    Raises:
        DataError: the file cannot be read, is empty, or its header repeats a name.
    """
    lines, undecodable = _lines(path, encoding, fallback)
    if columns is None:
        filled = lines[TEXT].str.strip_chars() != ""
        if not filled.any():
            raise DataError(f"{path} holds nothing that is {encoding or 'utf-8'} text; say which --encoding it has")
        first = int(filled.arg_max() or 0)
        columns, separator = split_header(lines[TEXT][first], separator)
        lines = lines.slice(first + 1)
        repeated = [name for name in columns if columns.count(name) > 1 or not name]
        if repeated:
            raise DataError(f"{path}: the header names {repeated[0]!r} more than once; each column needs its own name")
    separator = separator or ","
    rows = Rows.of(part, path, pl.DataFrame())
    if undecodable:
        rows = rows.complain(
            pl.DataFrame({LINE: undecodable}), pl.lit(f"not {encoding or 'utf-8'} text; say which --encoding it has")
        )
    width = len(columns)
    found: list[pl.DataFrame] = []
    if quoted and len(separator) == 1:
        taken, bad, lines = _quoted(lines, separator, columns)
        found.append(taken)
        rows = rows.complain(bad, pl.lit(f"its quotation marks do not make {width} fields"))
    lines = lines.filter(pl.col(TEXT).str.strip_chars() != "")
    fields = pl.col(TEXT).str.count_matches(separator, literal=True) + 1
    rows = rows.complain(lines.filter(fields != width), pl.format(f"{{}} fields, expected {width}", fields))
    lines = lines.filter(fields == width)
    if width == 1:
        split = lines.select(LINE, pl.col(TEXT).alias(columns[0]))
    else:
        parts = pl.col(TEXT).str.split(separator).list.to_struct(fields=list(columns))
        split = lines.select(LINE, parts).unnest(TEXT)
    frame = pl.concat([*found, split]).sort(LINE) if found else split
    text = pl.col(*columns).str.strip_chars()
    return replace(rows, frame=frame.with_columns(pl.when(text != "").then(text)))
