"""The file layouts in which MovieLens is distributed.

=============  ==============================================================================
100k           ``u.data``, ``u.item``, ``u.user`` (latin-1; tabs, and ``|`` in the catalogue)
1M and 10M     ``ratings.dat``, ``movies.dat``, ``users.dat`` (latin-1, ``::``)
latest, 20M+   ``ratings.csv``, ``movies.csv`` (UTF-8)
atomic files   ``*.inter``, ``*.item``, ``*.user`` (tabs, and a header of ``name:type``)
=============  ==============================================================================

A folder is read as a whole, a file alone. A layout is recognised by its lines, not by the file's name, so
a renamed or shortened copy is read too. The year in a title is moved to a column of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from cuvee.data.catalog import Role
from cuvee.data.files.delimited import read_delimited
from cuvee.data.files.packed import head
from cuvee.data.files.raw import Part, RawData, Reader, ReadOptions, Rows
from cuvee.errors import DataError

__all__ = ["MovieLensReader"]

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The 19 flags at the end of a line of ``u.item``, in order."""

NO_GENRE = ("unknown", "(no genres listed)", "")

OCCUPATIONS = dict(
    enumerate(
        (
            *("other", "educator", "artist", "administrator", "student", "customer service", "doctor"),
            *("executive", "farmer", "homemaker", "school student", "lawyer", "programmer", "retired"),
            *("marketing", "scientist", "self-employed", "technician", "tradesman", "unemployed", "writer"),
        )
    )
)
"""The occupation codes of 1M in words: those of 100k where it has the same one."""

USER_ROLES = {"age": Role.NUMBER, "gender": Role.CATEGORY, "occupation": Role.CATEGORY, "zip": Role.OTHER}
MOVIE_ROLES = {"title": Role.TEXT, "year": Role.NUMBER, "genres": Role.CATEGORIES}

TITLE_YEAR = r"(?s)^(.*?)\s*\((\d{4})(?:\s*[-\u{2013}]\s*(?:\d{4})?)?\)$"


def _ratings(rows: Rows) -> RawData:
    return rows.numbers("value", "time").interactions()


def _labels(text: pl.Expr, separator: str) -> pl.Expr:
    """List(String) of the labels in a field, without the words for "none"."""
    return text.str.split(separator).list.eval(pl.element().filter(~pl.element().is_in(NO_GENRE)))


def _titled(rows: Rows) -> Rows:
    """Split the year off the title; a title without a year is unchanged."""
    title, year = (pl.col("title").str.extract(TITLE_YEAR, group) for group in (1, 2))
    frame = rows.frame.with_columns(
        pl.when(title != "").then(title).otherwise(pl.col("title")).alias("title"), year.cast(pl.Int32).alias("year")
    )
    return replace(rows, frame=frame)


def _movies(rows: Rows) -> RawData:
    rows = _titled(rows)
    return replace(rows, frame=rows.frame.with_columns(_labels(pl.col("genres"), "|"))).entities(MOVIE_ROLES)


def _movies_by_flags(rows: Rows) -> RawData:
    rows = _titled(rows)
    flags = pl.concat_list(pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in GENRES if name != "unknown")
    released = pl.col("released").str.extract(r"(\d{4})$").cast(pl.Int32)
    frame = rows.frame.with_columns(flags.list.drop_nulls().alias("genres"), pl.coalesce("year", released))
    return replace(rows, frame=frame).entities(MOVIE_ROLES)


def _integers(rows: Rows, name: str) -> Rows:
    return rows.cast(name, pl.col(name).cast(pl.Int32, strict=False), "a whole number")


def _users(rows: Rows) -> RawData:
    return _integers(rows, "age").entities(USER_ROLES)


def _users_by_codes(rows: Rows) -> RawData:
    codes = {str(code): word for code, word in OCCUPATIONS.items()}
    known = pl.col("occupation").replace_strict(codes, default=None)
    return _integers(rows, "age").cast("occupation", known, "one of the codes 0 to 20").entities(USER_ROLES)


def _atomic(rows: Rows) -> RawData:
    """Files with a header of ``name:type``; MovieLens' own names become ours, others keep theirs."""
    types: dict[str, str] = {}
    for column in (c for c in rows.frame.columns if ":" in c):
        name, _, kind = column.rpartition(":")
        types[name] = kind
    frame = rows.frame.rename({f"{name}:{kind}": name for name, kind in types.items()})
    rows = replace(rows, frame=frame)
    if rows.part is Part.INTERACTIONS:
        names = {"user_id": "user", "item_id": "item", "rating": "value", "timestamp": "time"}
        rows = replace(rows, frame=frame.rename({k: v for k, v in names.items() if k in types}))
        return rows.numbers(*(n for n in ("value", "time") if n in rows.frame.columns)).interactions()
    names = {
        "item_id" if rows.part is Part.ITEMS else "user_id": "id",
        **{"movie_title": "title", "release_year": "year", "class": "genres", "zip_code": "zip"},
    }
    rows = replace(rows, frame=frame.rename({k: v for k, v in names.items() if k in types}))
    roles: dict[str, Role] = {}
    for name, kind in ((names.get(n, n), k) for n, k in types.items()):
        if name == "id":
            continue
        value = pl.col(name)
        if name in {"year", "age"}:
            # "token", not "float": unknown numbers are written as words
            roles[name], value = Role.NUMBER, value.cast(pl.Int32, strict=False)
        elif kind == "float":
            rows, roles[name] = rows.numbers(name), Role.NUMBER
        elif kind == "token_seq" and name != "title":
            roles[name], value = Role.CATEGORIES, _labels(value, " ")
        else:
            roles[name] = {"title": Role.TEXT, "zip": Role.OTHER}.get(name, Role.CATEGORY)
            roles[name] = Role.OTHER if kind == "float_seq" else roles[name]
        rows = replace(rows, frame=rows.frame.with_columns(value.alias(name)))
    return rows.entities(roles)


@dataclass(frozen=True)
class Layout:
    """One kind of file: the form of its lines, and how its columns are read."""

    part: Part
    line: re.Pattern[str]
    separator: str
    columns: tuple[str, ...] | None
    """The fields' names; None where the first line names them, and ``line`` is that line."""
    shape: Callable[[Rows], RawData]
    rename: tuple[str, ...] = ()
    """Our names for the header's."""
    quoted: bool = False

    def fits(self, lines: list[str]) -> bool:
        """Whether a file that begins with these lines has this layout.

        Without a header one good line in 20 will do; a first line without a digit would be a header.
        """
        if self.columns is None:
            return bool(lines) and self.line.match(lines[0]) is not None
        return any(map(str.isdigit, "".join(lines[:1]))) and any(self.line.match(line) for line in lines)

    def read(self, path: Path) -> RawData:
        """Read a file of this layout."""
        rows = read_delimited(
            path, self.part, separator=self.separator, columns=self.columns, quoted=self.quoted, fallback="latin-1"
        )
        if self.rename:
            header = [name for name in rows.frame.columns if "\0" not in name]
            rows = replace(rows, frame=rows.frame.rename(dict(zip(header, self.rename, strict=True))))
        return self.shape(rows)


_NUMBER = r"-?\d+(?:\.\d+)?"
_ATOM = r"\w+:(?:token|float)(?:_seq)?"
_EVENT = ("user", "item", "value", "time")

LAYOUTS = (
    Layout(
        Part.INTERACTIONS,
        re.compile(r"userId,movieId,rating,timestamp$"),
        ",",
        None,
        _ratings,
        rename=_EVENT,
        quoted=True,
    ),
    Layout(
        Part.ITEMS,
        re.compile(r"movieId,title,genres$"),
        ",",
        None,
        _movies,
        rename=("id", "title", "genres"),
        quoted=True,
    ),
    Layout(Part.INTERACTIONS, re.compile(rf"user_id:token\titem_id:token(?:\t{_ATOM})*$"), "\t", None, _atomic),
    Layout(Part.ITEMS, re.compile(rf"item_id:token(?:\t{_ATOM})*$"), "\t", None, _atomic),
    Layout(Part.USERS, re.compile(rf"user_id:token(?:\t{_ATOM})*$"), "\t", None, _atomic),
    Layout(Part.INTERACTIONS, re.compile(rf"\S+\t\S+\t{_NUMBER}\t\d+$"), "\t", _EVENT, _ratings),
    Layout(
        Part.ITEMS,
        re.compile(r"\w+\|.*(?:\|[01]){19}$"),
        "|",
        ("id", "title", "released", "video", "url", *GENRES),
        _movies_by_flags,
    ),
    Layout(
        Part.USERS,
        re.compile(r"\w+\|\d+\|[MF]\|[^|]*\|[^|]*$"),
        "|",
        ("id", "age", "gender", "occupation", "zip"),
        _users,
    ),
    Layout(Part.INTERACTIONS, re.compile(rf"\w+::\w+::{_NUMBER}::\d+$"), "::", _EVENT, _ratings),
    Layout(
        Part.USERS,
        re.compile(r"\w+::[MF]::\d+::\d+::"),
        "::",
        ("id", "gender", "age", "occupation", "zip"),
        _users_by_codes,
    ),
    Layout(Part.ITEMS, re.compile(r"\w+::.+::[^:]*$"), "::", ("id", "title", "genres"), _movies),
)
"""Layouts with a header first, then the more specific before the more general."""

FAMILIES = (
    ("u.data", "u.item", "u.user"),
    ("ratings.dat", "movies.dat", "users.dat"),
    ("ratings.csv", "movies.csv"),
    ("*.inter", "*.item", "*.user"),
)
"""The files of a folder: the interactions first; without them the folder has no such layout."""


def _layout(path: Path) -> Layout | None:
    lines = head(path)
    return next((layout for layout in LAYOUTS if layout.fits(lines)), None)


def _family(folder: Path) -> list[Path]:
    """The files to read in a folder, or none."""
    for names in FAMILIES:
        found = [sorted(folder.glob(name)) for name in names]
        if not found[0]:
            continue
        for name, files in zip(names, found, strict=True):
            if len(files) > 1:
                raise DataError(f"{folder} holds {len(files)} files named {name}; name the one to import")
        return [file for files in found for file in files]
    return []


class MovieLensReader(Reader):
    """MovieLens as GroupLens publishes it, and as atomic files."""

    expects: ClassVar[str] = (
        "a MovieLens folder (u.data, ratings.dat, ratings.csv or *.inter, its items and users beside it) "
        "or one file out of it"
    )

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Whether it is a folder with one of the layouts' interactions, or a file with lines of one."""
        if path.is_dir():
            return any(any(path.glob(names[0])) for names in FAMILIES)
        return _layout(path) is not None

    def read(self, path: Path, options: ReadOptions) -> RawData:
        """Read the folder whole, or the file alone."""
        files = _family(path) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path} holds no MovieLens; expected {self.expects}")
        found = []
        for file in files:
            layout = _layout(file)
            if layout is None:
                raise DataError(f"{file} has no layout of MovieLens; expected {self.expects}")
            found.append(layout.read(file))
        return RawData.concat(found)
