"""Text files with separated fields, split by Polars, with each row's line number.

Lines without a quotation mark are split all at once. Only those with one go through the csv
module, so that quoted separators and line breaks are understood and a stray mark costs one row,
not the rest of the file.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from cuvee.data.files.packed import text_lines
from cuvee.data.files.raw import LINE, Part, Rows
from cuvee.errors import DataError

__all__ = ["read_delimited", "split_header"]

csv.field_size_limit(sys.maxsize)  # a field may be a megabyte of text

TEXT = "\0text"
BLANKS = " \t\r\n\x0b\x0c\xa0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff"
"""Blanks around a column's name, invisible ones included."""
LONGEST_FIELD = 1000
"""A quoted field that spans more lines than this was never closed."""
LONGEST_HEADER = 50
"""How many lines a header with quoted line breaks may have."""
SAMPLE = 20
"""How many of the first lines are looked at to find the header."""
SEPARATORS = (",", "\t", ";", "|")


def _names(line: str, separator: str | None) -> tuple[list[str], str]:
    """The names in a header line, and the separator: the usual one that is there most where not given."""
    outside = re.sub(r'"[^"]*"', "", line)
    chosen = separator or max(SEPARATORS, key=outside.count)
    if len(chosen) > 1:
        return [name.strip(BLANKS) for name in line.split(chosen)], chosen
    return [name.strip(BLANKS) for name in next(csv.reader([line], delimiter=chosen))], chosen


def split_header(lines: Sequence[str], separator: str | None = None) -> tuple[list[str], str]:
    """The column names in a file's first lines, none of which is blank, and the separator between them.

    A line ``sep=;`` before them, as Excel writes it, gives the separator; otherwise the most frequent usual one.
    """
    at = int(_before_header(lines[0]) is not None and len(lines) > 1)
    chosen = separator or (_before_header(lines[0]) if at else None)
    at += _above_header(lines[at:], chosen)
    return _names(lines[at], chosen)


def _above_header(lines: Sequence[str], separator: str | None) -> int:
    """How many lines stand above the header: comments that begin with ``#``, and a report's title and the like.

    Args:
        lines: the first ones of the file, none of them blank.
        separator: between fields; None where it is not known yet.
    """
    comments = next((at for at, line in enumerate(lines) if not line.startswith("#")), 0)
    if comments:
        below, mark = _names(lines[comments], separator)
        last, _ = _names(lines[comments - 1], mark)
        # the header itself may be written as a comment
        return comments - int(len(last) == len(below) > 1 and any(map(_is_number, below)))
    if '"' in lines[0]:
        return 0
    for at, line in enumerate(lines[:-1]):
        names, mark = _names(line, separator)
        following = [len(_names(other, mark)[0]) for other in lines[at + 1 :]]
        if len(names) > 1 and set(following) == {len(names)}:
            is_header = all(names) and len(set(names)) == len(names) and not any(map(_is_number, names))
            return at if is_header and all(len(_names(above, mark)[0]) < len(names) for above in lines[:at]) else 0
    return 0


def _is_number(field: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?\d[\d.,:T-]*\s*", field))


def _before_header(line: str) -> str | None:
    """The separator in a line ``sep=;``; None for any other line."""
    found = re.fullmatch(r'"?sep=(.)"?', line.strip(" "), re.IGNORECASE)
    return found[1] if found else None


def _lines(path: Path, encoding: str | None, fallback: str | None) -> tuple[pl.DataFrame, list[int]]:
    """All lines with their numbers (columns LINE, TEXT), and the numbers of those that cannot be decoded."""
    data, undecodable = text_lines(path, encoding, fallback)
    return pl.read_lines(io.BytesIO(data), name=TEXT, row_index_name=LINE, row_index_offset=1), undecodable


@dataclass(frozen=True)
class _Header:
    """The columns of a file with a header."""

    names: Sequence[str]
    """Empty where a column has none."""
    separator: str
    least: int
    """Fields that a row must have; only columns without a name follow them."""

    @property
    def width(self) -> int:
        """Fields of a whole row."""
        return len(self.names)

    @property
    def columns(self) -> list[str]:
        """A distinct name for each column."""
        return [name or f"\0{at}" for at, name in enumerate(self.names)]

    @property
    def nameless(self) -> list[int]:
        """Places of the columns without a name, from 1."""
        return [at for at, name in enumerate(self.names, 1) if not name]

    def fitted(self, fields: list[str]) -> list[str] | None:
        """Exactly as many fields as there are columns, or None. Empty fields beyond them are ignored."""
        while len(fields) > self.width and not fields[-1].strip():
            fields = fields[:-1]
        if self.least <= len(fields) <= self.width:
            return fields + [""] * (self.width - len(fields))
        return None


def _header(
    path: Path, lines: pl.DataFrame, separator: str | None, encoding: str | None
) -> tuple[_Header, pl.DataFrame, str]:
    """The header, the lines after it, and what to tell of lines above it.

    Raises:
        DataError: there is none, or it repeats a name.
    """
    filled = lines[TEXT].str.strip_chars() != ""
    if not filled.any():
        raise DataError(f"{path} holds nothing that is {encoding or 'utf-8'} text; say which --encoding it has")
    lines = lines.slice(int(filled.arg_max() or 0))
    said = _before_header(lines[TEXT][0])
    if said is not None and len(lines) > 1:
        separator, lines = separator or said, lines.slice(1)
    first = lines.filter(pl.col(TEXT).str.strip_chars() != "").head(SAMPLE)
    above, note = _above_header(first[TEXT].to_list(), separator) if len(first) else 0, ""
    if above:
        start = first[LINE][above]
        note = f"the header is line {start}; what stands above it is left out, such as {first[TEXT][0][:40]!r}"
        lines = lines.filter(pl.col(LINE) >= start)
    text, used = lines[TEXT][0], 1
    while text.count('"') % 2 and used < min(len(lines), LONGEST_HEADER):
        text, used = f"{text} {lines[TEXT][used]}", used + 1
    names, separator = _names(text, separator)
    lines = lines.slice(used)
    if len(separator) == 1 and _has_row_names(lines, names, separator):
        names = ["", *names]
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: the header names {repeated[0]!r} more than once; each column needs its own name")
    named = [at for at, name in enumerate(names, 1) if name]
    return _Header(names, separator, named[-1] if named else 1), lines, note


def _has_row_names(lines: pl.DataFrame, names: list[str], separator: str) -> bool:
    """Whether each row has one field more than the header, a number that counts the rows: R writes it so."""
    first = [row for row in csv.reader(lines[TEXT].head(20).to_list(), delimiter=separator) if row]
    numbers = [row[0] for row in first]
    start = numbers[0] if numbers else ""
    return (
        all(len(row) == len(names) + 1 and row[-1].strip() for row in first)
        and start in {"0", "1"}
        and numbers == [str(int(start) + at) for at in range(len(numbers))]
    )


def _fields(text: str, header: _Header) -> list[str] | None:
    """One record by the rules of CSV, or None where it does not have as many fields as there are columns."""
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=header.separator, strict=True))
    except csv.Error:
        return None
    return header.fitted(found[0]) if len(found) == 1 else None


def _quoted(lines: pl.DataFrame, header: _Header) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
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
        found = _fields(text, header)
        if found is None and marks[start] % 2:
            # a field that opens here closes on the next line with an odd number of quotation marks
            following = int(np.searchsorted(odd, start, side="right"))
            if following < len(odd) and odd[following] - start <= LONGEST_FIELD:
                end = int(odd[following])
                found = _fields("\n".join(lines[TEXT][start : end + 1].to_list()), header)
        if found is None:
            bad.append(start)
            continue
        plain[start : end + 1] = False
        resume = end + 1
        records.append((int(numbers[start]), *found))
    frame = pl.DataFrame(records, schema={LINE: pl.UInt32, **dict.fromkeys(header.columns, pl.String)}, orient="row")
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
        path: a text file, packed or not.
        part: what it holds, for the messages.
        separator: between fields, of any length; None chooses by the header.
        columns: the fields' names; None takes them from the first line.
        quoted: whether quotation marks may enclose a field.
        encoding: None goes by the byte order mark, and without one is UTF-8.
        fallback: the encoding where it turns out not to be UTF-8; None makes a row malformed instead.

    Raises:
        DataError: the file cannot be read, is empty, or its header repeats a name.
    """
    lines, undecodable = _lines(path, encoding, fallback)
    note = ""
    if columns is None:
        header, lines, note = _header(path, lines, separator, encoding)
    else:
        header = _Header(columns, separator or ",", len(columns))
    rows = Rows.of(part, path, pl.DataFrame())
    if note:
        rows = rows.tell(note)
    if undecodable:
        rows = rows.complain(
            pl.DataFrame({LINE: undecodable}), pl.lit(f"not {encoding or 'utf-8'} text; say which --encoding it has")
        )
    zeros = lines.filter(pl.col(TEXT).str.contains("\0", literal=True))
    if len(zeros):
        rows = rows.complain(zeros, pl.lit("holds the character NUL"))
        lines = lines.filter(~pl.col(TEXT).str.contains("\0", literal=True))
    found: list[pl.DataFrame] = []
    if quoted and len(header.separator) == 1:
        taken, bad, lines = _quoted(lines, header)
        found.append(taken)
        rows = rows.complain(bad, pl.lit(f"its quotation marks do not make {header.width} fields"))
    lines = lines.filter(pl.col(TEXT).str.strip_chars() != "")
    if columns is None:
        lines = _evened(lines, header)
    fields = pl.col(TEXT).str.count_matches(header.separator, literal=True) + 1
    rows = rows.complain(
        lines.filter(fields != header.width), fields.cast(pl.String) + f" fields, expected {header.width}"
    )
    lines = lines.filter(fields == header.width)
    if header.width == 1:
        split = lines.select(LINE, pl.col(TEXT).alias(header.columns[0]))
    else:
        parts = pl.col(TEXT).str.split(header.separator).list.to_struct(fields=header.columns)
        split = lines.select(LINE, parts).unnest(TEXT)
    frame = pl.concat([*found, split]).sort(LINE) if found else split
    text = pl.exclude(LINE).str.strip_chars()
    frame = frame.with_columns(pl.when(text != "").then(text))
    if not header.nameless:
        return replace(rows, frame=frame)
    which = ", ".join(str(at) for at in header.nameless)
    rows = rows.tell(f"column {which} has no name in the header and is left out")
    return replace(rows, frame=frame.drop(f"\0{at - 1}" for at in header.nameless))


def _evened(lines: pl.DataFrame, header: _Header) -> pl.DataFrame:
    """Lines cut or padded to the columns: empty fields beyond them go, missing ones without a name are added."""
    mark = header.separator
    if len(mark) > 1:
        return lines
    text = pl.col(TEXT)
    more = _count(text, mark) > header.width
    bare = pl.when(more).then(text.str.strip_chars_end(f" {mark}")).otherwise(text)
    lacking = header.width - _count(bare, mark)
    takes = (lacking >= 0) & (more | (_count(text, mark) >= header.least))
    # stripping may have removed empty fields of a named column: they are put back
    padded = pl.concat_str(bare, pl.lit(mark).repeat_by(lacking.clip(0)).list.join(""))
    return lines.with_columns(pl.when(takes).then(padded).otherwise(text))


def _count(line: pl.Expr, mark: str) -> pl.Expr:
    """Fields of lines without quotation marks."""
    return line.str.count_matches(mark, literal=True).cast(pl.Int64) + 1
