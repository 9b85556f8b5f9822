"""Parquet into the store and out of it: ``cuvee import --product`` and ``cuvee export``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options
from cuvee.errors import DataError, InvalidArgument, OperatorError

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy import Connection

    from cuvee.config import Settings
    from cuvee.data.dataset import Dataset
    from cuvee.data.files.raw import Part, ReadOptions
    from cuvee.data.store import Store
    from cuvee.data.store.rows import EventType
    from cuvee.data.store.transfer.imports import Batch, Imported, Stored

__all__ = ["import_into_store", "register"]

EVENTS, ENTITIES = 50_000, 1_000
"""How many rows are stored in one transaction, for which other writers wait."""


def register(app: typer.Typer) -> None:
    """Add ``export``."""
    app.command(
        epilog=options.examples(
            "cuvee export movies ~/movies-export      events, items and users of the store",
            "cuvee import ~/movies-export --product movies --config other/cuvee.toml    and into another one",
        )
    )(export)


def export(
    product: options.Product,
    folder: Annotated[Path, typer.Argument(help="A folder that is empty, or not there, or of an interrupted export.")],
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Write a product's stored events, items and users into Parquet files.

    After an interruption, the same command continues. Data that was
    imported into a dataset is not exported.
    """
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.store.transfer.exports import FOLDERS, export_part, export_whole, open_export

    settings, _ = options.open_settings(config)
    options.check_product(settings, product)
    store = _store(settings)
    counts: dict[str, int] = {}
    try:
        went_on = open_export(folder, product)
        with Bars(hidden=as_json) as bars:
            for part, name in FOLDERS.items():
                counts[name] = export_part(store.database, product, part, folder, bars(name))
        export_whole(folder, product)
    finally:
        store.close()
    if as_json:
        print_json({"product": product, "folder": str(folder), "went_on": went_on, **counts})
        return
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    how = ": went on where it was interrupted; " if went_on else ": "
    Console(highlight=False).print(Text.assemble((str(folder), "bold green"), how, said), soft_wrap=True)


def _store(settings: Settings) -> Store:
    """The configured store.

    Raises:
        OperatorError: there is none.
    """
    from cuvee.data.store import open_store

    store = open_store(settings)
    if store is None:
        raise OperatorError('no store is configured; set [store] url = "sqlite:///var/store.db" in cuvee.toml')
    return store


def import_into_store(
    settings: Settings,
    product: str,
    given: Mapping[Part, Path],
    reading: ReadOptions,
    kind: EventType | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Store Parquet files as events, items and users of a product, and report on the rows.

    Raises:
        NotFound: there is no such product.
        DataError: a file cannot be read, or no row of it can be used; with ``strict`` where one row cannot.
        UnavailableError: the store cannot be reached; the same command continues where it was interrupted.
    """
    from cuvee.cli.importing.told import show_stored
    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.files.raw import Part, part_of
    from cuvee.data.store.transfer.event_files import EVENT_COLUMNS
    from cuvee.data.store.transfer.imports import Imported, digest_of, finish, import_file

    options.check_product(settings, product)
    for name in reading.columns:
        part = part_of(name)
        own = name if part is None else name.partition(".")[2]
        events_alone = part is Part.INTERACTIONS or set(given) == {Part.INTERACTIONS}
        if part is not None and part not in given and not given.get(Part.INTERACTIONS, Path()).is_dir():
            raise InvalidArgument("--map", f"{name!r}: no file of {part} is given")
        if events_alone and part in {None, Part.INTERACTIONS} and own not in EVENT_COLUMNS:
            there = ", ".join(EVENT_COLUMNS)
            raise InvalidArgument("--map", f"events have no {own!r}; there are: {there}")
    files = list(_files(given))
    store = _store(settings)
    found: dict[Part, Imported] = {}
    digests = []
    try:
        with Bars(hidden=as_json) as bars:
            for part, file in files:
                into = found.setdefault(part, Imported(part))
                how = (str(part), repr(reading), str(kind))
                digests.append(digest_of(file, *how))
                batch, size = _batch(store, settings, product, part, reading, kind)
                told = bars(f"{part} {file.name}")
                import_file(store.database, product, file, digests[-1], batch, into, told, size=size, strict=strict)
        finish(store.database, product, digests)
    finally:
        store.close()
    if as_json:
        print_json({"product": product, **{str(part): _summary(one) for part, one in found.items()}})
    else:
        show_stored(product, list(found.values()))
    useless = [one for one in found.values() if one.read and not one.kept and not one.before]
    if useless:
        raise DataError(f"no row of these could be used: {', '.join(f'{o.read:,} of {o.part}' for o in useless)}")


def _files(given: Mapping[Part, Path]) -> Iterator[tuple[Part, Path]]:
    """Every Parquet file, with its part; items and users before the events that name them."""
    from cuvee.data.files.raw import Part
    from cuvee.data.store.transfer.exports import FOLDERS

    places = dict(given)
    export = given.get(Part.INTERACTIONS)
    if export is not None and any((export / name).is_dir() for name in FOLDERS.values()):
        places = {**{part: export / name for part, name in FOLDERS.items() if (export / name).is_dir()},
                  **{part: place for part, place in given.items() if part is not Part.INTERACTIONS}}  # fmt: skip
    for part in (Part.ITEMS, Part.USERS, Part.INTERACTIONS):
        place = places.get(part)
        if place is None:
            continue
        files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
        if not place.exists() or (not files and place is given.get(part)):
            raise DataError(f"{place} is no Parquet file, and no folder with some; CSV goes into a --dataset")
        for file in files:
            yield part, file


def _batch(
    store: Store, settings: Settings, product: str, part: Part, reading: ReadOptions, kind: EventType | None
) -> tuple[Batch, int]:
    """The function that stores one batch of a part, and the number of rows in a batch."""
    from cuvee.cli.importing.entity_rows import item_batch, user_batch
    from cuvee.data.files.raw import Part, Rows
    from cuvee.data.store.rows import now
    from cuvee.data.store.transfer.bulk import insert_events
    from cuvee.data.store.transfer.event_files import as_events
    from cuvee.data.store.transfer.imports import Stored

    pseudonyms = settings.privacy.pseudonyms
    if part is Part.INTERACTIONS:
        known = _known_items(store, settings, product)

        def events(connection: Connection, rows: Rows) -> Stored:
            checked = as_events(rows, reading, pseudonyms, kind, product, now())
            new = insert_events(connection, checked.frame)
            items = checked.frame["item_id"]
            return Stored(new, len(items), checked.malformed, items.filter(~items.is_in(known.implode())))

        return events, EVENTS
    data = _imported(settings, product)
    if part is Part.ITEMS:
        return item_batch(store, product, reading, data.catalog.items), ENTITIES
    return user_batch(store, product, reading, data.catalog.users, pseudonyms), ENTITIES


def _imported(settings: Settings, product: str) -> Dataset:
    """The product's imported catalogue; an empty one where nothing was imported."""
    from cuvee.data.catalog import Catalog, Entities
    from cuvee.data.dataset import Dataset
    from cuvee.data.imported import imported_data

    if (settings.data_dir / settings.products[product].dataset / "events.arrow").exists():
        return imported_data(settings, product)
    return Dataset.build(Catalog(Entities.of_ids([]), Entities.of_ids([])), [], [])


def _known_items(store: Store, settings: Settings, product: str) -> pl.Series:
    """Ids of the imported and the stored items, without deleted ones."""
    import polars as pl

    from cuvee.data.catalog import Entities

    file = settings.data_dir / settings.products[product].dataset / "items.arrow"
    ids = (Entities.load(file) if file.exists() else Entities.of_ids([])).frame["id"]
    rows = store.items_since(product, 0)
    deleted = pl.Series([row.item_id for row in rows if row.deleted], dtype=pl.String)
    there = pl.Series([row.item_id for row in rows if not row.deleted], dtype=pl.String)
    return pl.concat([ids.filter(~ids.is_in(deleted.implode())), there])


def _summary(one: Imported) -> dict[str, object]:
    """As plain values."""
    dropped = [{"reason": d.reason, "count": d.count, "examples": list(d.examples)} for d in one.dropped]
    return {
        "read": one.read,
        "kept": one.kept,
        "new": one.new,
        "before": one.before,
        "dropped": dropped,
        "events_of_unknown_items": one.of_unknown,
        "unknown_items": len(one.unknown),
    }
