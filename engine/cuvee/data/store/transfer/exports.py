"""Export of a product's events, items and users from the store to Parquet files, each written aside and renamed.

::

    FOLDER/export.json             the product, and whether the export is whole
    FOLDER/events/00000.parquet    in the order in which they were received
    FOLDER/items/00000.parquet     by ascending id, as are users

An interrupted export continues after the last complete part. ``cuvee import FOLDER --product`` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
from sqlalchemy import ColumnElement, Table, func, select, true

from cuvee.data.files.raw import Part
from cuvee.data.store.database import Database
from cuvee.data.store.rows import EventType
from cuvee.data.store.tables import EVENTS, ITEMS, USERS
from cuvee.data.store.transfer.bulk import events_page
from cuvee.errors import DataError

__all__ = ["FOLDERS", "export_part", "export_whole", "open_export"]

FOLDERS = {Part.INTERACTIONS: "events", Part.ITEMS: "items", Part.USERS: "users"}
SIZES = {Part.INTERACTIONS: 100_000, Part.ITEMS: 20_000, Part.USERS: 20_000}
"""How many rows one file has."""
STATE = "export.json"
TYPES = {int(kind): kind.name.lower() for kind in EventType}
UTC = pl.Datetime("us", "UTC")


def open_export(folder: Path, product: str) -> bool:
    """Prepare a folder for an export; returns whether an interrupted export continues there.

    Raises:
        DataError: it holds something else, or a complete export.
    """
    state = folder / STATE
    if not state.exists():
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} is not empty; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        _say(folder, product, complete=False)
        return False
    found = json.loads(state.read_text())
    if found["product"] != product or found["complete"]:
        whole = "a whole export" if found["complete"] else "an export"
        raise DataError(f"{folder} holds {whole} of {found['product']}; choose another folder")
    return True


def export_whole(folder: Path, product: str) -> None:
    """Mark the export as complete."""
    _say(folder, product, complete=True)


def _say(folder: Path, product: str, *, complete: bool) -> None:
    (folder / STATE).write_text(json.dumps({"product": product, "complete": complete}))


def export_part(
    database: Database,
    product: str,
    part: Part,
    folder: Path,
    told: Callable[[int, int], None],
    size: int | None = None,
) -> int:
    """Write all events, items or users, ``size`` to a file; returns how many there are.

    Raises:
        UnavailableError: the database cannot be reached; written files stay, and the next export continues.
    """
    size = size or SIZES[part]
    place = folder / FOLDERS[part]
    place.mkdir(exist_ok=True)
    there = sorted(place.glob("*.parquet"))
    done: int = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in there)
    table, wanted = _table(part)
    count = select(func.count()).select_from(table).where(table.c.product == product, wanted)
    total = database.read(lambda connection: connection.execute(count).scalar_one())
    last = pl.scan_parquet(there[-1]).tail(1).collect() if there else None
    told(done, total)
    for number, frame in enumerate(_pages(database, product, part, last, size), start=len(there)):
        aside = place / f".{number:05}.writing"
        frame.write_parquet(aside)
        aside.rename(place / f"{number:05}.parquet")
        done += len(frame)
        told(done, max(done, total))
    return done


def _pages(
    database: Database, product: str, part: Part, last: pl.DataFrame | None, size: int
) -> Iterator[pl.DataFrame]:
    """The position after a row, or the beginning."""
    while True:
        if part is Part.INTERACTIONS:
            frame = _events(database, product, last, size)
        else:
            frame = _entities(database, product, part, last, size)
        if len(frame):
            yield frame
        if len(frame) < size:
            return
        last = frame.tail(1)


def _events(database: Database, product: str, last: pl.DataFrame | None, size: int) -> pl.DataFrame:
    after = (0, "") if last is None else (last["received"].to_physical()[0], last["event_id"][0])
    frame = events_page(database, product, after, size)
    user = pl.when(pl.col("owner") != pl.col("session_id").fill_null("")).then("owner")
    return frame.select(
        "event_id",
        user.alias("user"),
        pl.col("session_id").alias("session"),
        pl.col("item_id").alias("item"),
        pl.col("type").replace_strict(TYPES, return_dtype=pl.String),
        "value",
        pl.col("time", "received").cast(UTC),
        "recommendation_id",
        "position",
    )


def _table(part: Part) -> tuple[Table, ColumnElement[bool]]:
    """A part's table, and which of its rows are exported: users that only have events are in the events' files."""
    if part is Part.USERS:
        return USERS, USERS.c.profile.is_not(None)
    return (ITEMS if part is Part.ITEMS else EVENTS), true()


def _entities(database: Database, product: str, part: Part, last: pl.DataFrame | None, size: int) -> pl.DataFrame:
    table, wanted = _table(part)
    own = table.c.item_id if part is Part.ITEMS else table.c.user_id
    columns = [ITEMS.c.title, ITEMS.c.attributes, ITEMS.c.deleted] if part is Part.ITEMS else [USERS.c.profile]
    behind = own > ("" if last is None else last["id"][0])
    query = select(own, *columns).where(table.c.product == product, wanted, behind).order_by(own).limit(size)
    rows = database.read(lambda connection: connection.execute(query).all())
    if part is Part.ITEMS:
        schema = {"id": pl.String, "title": pl.String, "attributes": pl.String, "deleted": pl.Boolean}
        return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    names = ("attributes", "interests")
    plain = [
        (user_id, *(json.dumps(json.loads(profile).get(name, {}), ensure_ascii=False) for name in names))
        for user_id, profile in rows
    ]
    return pl.DataFrame(plain, schema=dict.fromkeys(("id", *names), pl.String), orient="row")
