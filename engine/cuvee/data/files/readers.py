"""The readers of interaction and catalogue files, and the choice of the one that a file needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import polars as pl

from cuvee.data.catalog import Entities
from cuvee.data.files.foreign import advice
from cuvee.data.files.movielens import MovieLensReader
from cuvee.data.files.raw import INTERACTION_COLUMNS, Part, RawData, RawEntities, Reader, ReadOptions, TimeUnit, part_of
from cuvee.data.files.tabular import CsvReader, ParquetReader
from cuvee.errors import DataError

__all__ = [
    "AUTO",
    "BUILT_IN",
    "Part",
    "RawData",
    "RawEntities",
    "ReadOptions",
    "Reader",
    "TimeUnit",
    "choose",
    "gather",
    "like",
]

AUTO = "auto"
"""The format that means: detect it."""

BUILT_IN: Mapping[str, type[Reader]] = MappingProxyType(
    {"movielens": MovieLensReader, "parquet": ParquetReader, "csv": CsvReader}
)
"""The engine's own readers."""


def choose(path: Path, readers: Mapping[str, type[Reader]] = BUILT_IN, form: str = AUTO) -> Reader:
    """The reader for an existing file or folder: the named one, or the one that recognises the layout.

    Raises:
        DataError: the path does not exist, no reader has that name, none recognises the layout, or several do.
    """
    if form != AUTO and form not in readers:
        raise DataError(f"no reader is named {form!r}; there are: {', '.join([AUTO, *readers])}")
    expected = [readers[form].expects] if form != AUTO else [r.expects for r in readers.values()]
    hint = "".join(f"\n  - {one}" for one in expected)
    if not path.exists():
        near = get_close_matches(path.name, [one.name for one in path.parent.glob("*")], 1)
        meant = f"; is {near[0]} meant?" if near else ""
        raise DataError(f"{path} does not exist{meant}; expected{hint}")
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{path} is empty; was it written whole? Write it again; expected{hint}")
    if form != AUTO:
        return readers[form]()
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path} is an empty folder, so it has no layout; name a file, or a full one; expected{hint}")
    foreign = advice(path)
    for general in (False, True):
        claims = [name for name, reader in readers.items() if reader.general is general and reader.sniff(path)]
        if len(claims) > 1:
            raise DataError(f"{path} can be read in several ways; say --format, one of: {', '.join(claims)}")
        if claims and not (general and foreign and path.is_file()):
            return readers[claims[0]]()
    raise DataError(foreign or f"{path} has no layout that a reader knows; expected{hint}")


def like(options: ReadOptions, part: Part, there: Entities) -> ReadOptions:
    """Options that keep the roles which the catalogue's existing columns have."""
    return replace(options, roles={**{f"{part}.{n}": r for n, r in there.roles.items()}, **options.roles})


def _rows(entities: RawEntities | None) -> int:
    return 0 if entities is None else len(entities.frame)


def _check(raw: RawData, options: ReadOptions) -> None:
    """Check that every mapped name and every role matched a column, so that a misspelt one is reported."""
    there = {
        **({f"items.{name}": name for name in raw.items.frame.columns} if raw.items else {}),
        **({f"users.{name}": name for name in raw.users.frame.columns} if raw.users else {}),
    }
    known = {*there, *there.values()}
    listed = ", ".join(sorted(there)) or "none, for there is neither an items nor a users file"
    given = {Part.INTERACTIONS: True, Part.ITEMS: raw.items is not None, Part.USERS: raw.users is not None}
    for ours, theirs in options.columns.items():
        part = part_of(ours)
        if part is not None and not given[part]:
            raise DataError(f"--map {ours}={theirs}: no file of {part} is given")
        own = ours if part is None else ours.partition(".")[2]
        # found_column has looked for these while the file was read
        if own in ({"item"} if part is Part.ITEMS else {"user"} if part is Part.USERS else INTERACTION_COLUMNS):
            continue
        if part is Part.INTERACTIONS or ours not in known:
            raise DataError(
                f"--map {ours}={theirs}: no items or users file has a column {theirs!r}, and of interactions only "
                f"{', '.join(INTERACTION_COLUMNS)} can be mapped; there are: {listed}"
            )
    for name, role in options.roles.items():
        if name not in known:
            raise DataError(f"--role {name}={role}: no items or users file has such a column; there are: {listed}")


def gather(
    path: Path | None = None,
    *,
    items: Path | None = None,
    users: Path | None = None,
    form: str = AUTO,
    options: ReadOptions | None = None,
    readers: Mapping[str, type[Reader]] = BUILT_IN,
    there: Mapping[Part, Entities] = MappingProxyType({}),
    strict: bool = False,
    on_file: Callable[[Path], None] = lambda _: None,
) -> RawData:
    """Read what was asked for into one.

    Parameters:
        path: interactions, or a folder with everything.
        items: a file of items; its layout is detected independently of ``path``.
        users: a file of users; the same.
        form: the name of the reader for ``path``.
        options: the caller's options about the files.
        readers: those to choose from.
        there: the catalogue that this is to be added to; its columns keep their roles.
        strict: whether the first malformed row is an error.
        on_file: called before each file is read.

    Raises:
        DataError: a file is missing, cannot be read or has no rows, or ``strict`` found a malformed row.
    """
    asked = options or ReadOptions()
    found = []
    for source, part in ((path, asked.part), (items, Part.ITEMS), (users, Part.USERS)):
        if source is None:
            continue
        reader = choose(source, readers, form if source is path else AUTO)
        on_file(source)
        reading = replace(asked, part=part)
        for kind, entities in there.items():
            reading = like(reading, kind, entities)
        raw = reader.read(source, reading)
        if part is not None and part is not asked.part and getattr(raw, part) is None:
            held = [p for p in (Part.ITEMS, Part.USERS) if getattr(raw, p) is not None]
            held += [Part.INTERACTIONS] if len(raw.interactions) else []
            raise DataError(f"{source} holds no {part}" + (f" but {held[0]}" if held else ""))
        if not (len(raw.interactions) or len(raw.malformed) or _rows(raw.items) or _rows(raw.users)):
            raise DataError(f"{source} names columns and has no rows; there is nothing to import")
        found.append(raw)
    raw = RawData.concat(found)
    _check(raw, asked)
    if strict and len(raw.malformed):
        first = raw.malformed.row(0, named=True)
        raise DataError(f"{first['file']}:{first['line']}: {first['reason']}")
    if raw.interactions.schema["user"] != pl.String:
        raise DataError("a reader must give ids as text")
    return raw
