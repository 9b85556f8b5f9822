"""Items and users of a Parquet file, with the same checks as the catalogue's API."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from sqlalchemy import Connection

from cuvee.client import profile
from cuvee.data.catalog import Entities
from cuvee.data.files.columns.ids import as_ids
from cuvee.data.files.raw import LINE, Part, ReadOptions, Rows
from cuvee.data.files.tabular import check_named, found_column
from cuvee.data.flags import as_flag, is_missing
from cuvee.data.store import Store
from cuvee.data.store.catalogue.items import write_items
from cuvee.data.store.catalogue.overlay import overlaid, title_column
from cuvee.data.store.catalogue.users import write_users
from cuvee.data.store.rows import ItemRow
from cuvee.data.store.transfer.imports import Batch, Stored
from cuvee.errors import DataError, InvalidArgument
from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.catalogue.from_wire import Columns, item_upsert, user_upsert
from cuvee.serving.catalogue.to_wire import imported_item, imported_user
from cuvee.v1 import catalog_pb2 as pb

__all__ = ["item_batch", "user_batch"]

JSON = {Part.ITEMS: ("attributes",), Part.USERS: ("attributes", "interests")}
"""Columns of JSON objects, as an export has them; their entries count like columns of their own."""
Values = dict[str, Any]


def item_batch(store: Store, product: str, options: ReadOptions, imported: Entities) -> Batch:
    """Upserts items; every column is an attribute, except the id, ``title`` and ``deleted``."""
    items = overlaid(imported, store.items_since(product, 0))
    columns = Columns.of_items(items.frame.schema, title_column(items))

    def batch(connection: Connection, rows: Rows) -> Stored:
        rows = _named(rows, options)
        changes = []
        for line, item_id, row in _values(rows):
            title, deleted = str(row.pop("title", "") or ""), row.pop("deleted", False)
            try:
                deleted = _flag("deleted", deleted)
                item = pb.Item(item_id=item_id, title=title, attributes=_attributes(row.pop("attributes", None), row))
                upsert = item_upsert(item, frozenset(), columns)
            except InvalidArgument as problem:
                rows = _complaint(rows, line, problem)
                continue
            old = imported_item(imported, item_id)
            over = upsert.over(old)
            changes.append((item_id, _deleting(over, old or ItemRow(item_id)) if deleted else over))
        made = write_items(connection, product, changes)
        new = sum(m is not None and m.created and bool(m.row.created) for m in made)
        return Stored(new, len(changes), rows.malformed)

    return batch


def _deleting(over: Callable[[ItemRow | None], ItemRow | None], old: ItemRow) -> Callable[[ItemRow | None], ItemRow]:
    return lambda stored: replace(over(stored) or old, deleted=True)


def user_batch(store: Store, product: str, options: ReadOptions, imported: Entities, pseudonyms: Pseudonyms) -> Batch:
    """Upserts users; every column is an attribute, except the id and ``interests``."""
    columns = Columns.of_users(imported.frame.schema)
    forgotten = store.forgotten(product)

    def batch(connection: Connection, rows: Rows) -> Stored:
        rows = _named(rows, options)
        rows = replace(rows, frame=rows.frame.with_columns(pseudonyms.of_each(rows.frame["id"], rows.file)))
        changes = []
        for line, user_id, row in _values(rows):
            try:
                interests = _object("interests", row.pop("interests", None))
                attributes = _attributes(row.pop("attributes", None), row)
                told = profile(interests={name: list(map(str, liked)) for name, liked in interests.items()})
                for name, value in attributes.items():
                    told.attributes[name].CopyFrom(value)
                upsert = user_upsert(pb.User(user_id=user_id, profile=told), frozenset(), columns)
            except InvalidArgument as problem:
                rows = _complaint(rows, line, problem)
                continue
            changes.append((user_id, upsert.over(None if forgotten(user_id) else imported_user(imported, user_id))))
        made = write_users(connection, product, changes)
        return Stored(sum(created for _, created, _ in made), len(changes), rows.malformed)

    return batch


def _named(rows: Rows, options: ReadOptions) -> Rows:
    """The rows with the id as ``id``, and the other columns under their mapped names."""
    check_named(rows, options)
    kind = "item" if rows.part is Part.ITEMS else "user"
    there = [name for name in rows.frame.columns if name != LINE]
    own = found_column(rows, kind, options, ("id", kind, f"{kind}id"))
    if own is None:
        raise DataError(
            f"{rows.file} has no column that is plainly the {kind}'s id; say --map {rows.part}.{kind}=COLUMN, "
            f"one of: {', '.join(there)}"
        )
    names = options.renamed(rows.part)
    rows = replace(rows, frame=rows.frame.rename({c: "id" if c == own else names.get(c, c) for c in there}))
    for name, kind_of in rows.frame.schema.items():
        listed = isinstance(kind_of, pl.List) and (kind_of.inner == pl.String or kind_of.inner.is_numeric())
        if not listed and (kind_of.is_nested() or kind_of in {pl.Binary, pl.Object, pl.Duration, pl.Time}):
            raise DataError(
                f"{rows.file}: column {name!r} is of type {kind_of}, and the store keeps texts, numbers, flags, "
                "times and lists of texts; leave it out, or import it into the dataset"
            )
    return as_ids(rows, "id", exact=True)


def _values(rows: Rows) -> Sequence[tuple[int, str, Values]]:
    """Line, id, and the other values that are not null."""
    found = []
    for row in rows.frame.iter_rows(named=True):
        given = {name: value for name, value in row.items() if value is not None}
        found.append((given.pop(LINE), given.pop("id", ""), given))
    return found


def _plain(value: Any) -> Any:
    """The row as an API message."""
    if isinstance(value, list):
        return [str(one) for one in value if one is not None]
    if isinstance(value, datetime.date):
        return value.isoformat(*([" "] if isinstance(value, datetime.datetime) else []))
    return float(value) if isinstance(value, decimal.Decimal) else value


def _object(name: str, given: object) -> dict[str, Any]:
    """The entries of a JSON object in a column."""
    if given is None:
        return {}
    try:
        found = json.loads(given) if isinstance(given, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument(name, "is no JSON object")
    return found


def _flag(name: str, given: object) -> bool:
    """A flag that is not an attribute; false where it is missing."""
    flag = as_flag(given)
    if flag is None and not is_missing(given):
        raise InvalidArgument(name, "is a flag: true or false, 1 or 0, yes or no")
    return bool(flag)


def _attributes(packed: object, columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """API values from columns and from entries in ``attributes``."""
    given = {name: _plain(value) for name, value in {**_object("attributes", packed), **columns}.items()}
    for name, value in given.items():
        if not isinstance(value, str | float | int | bool | list):
            raise InvalidArgument(f"attributes[{name}]", "is no text, number, flag or list of texts")
    return profile(given).attributes


def _complaint(rows: Rows, line: int, problem: InvalidArgument) -> Rows:
    return rows.complain(rows.frame.filter(pl.col(LINE) == line), pl.lit(str(problem)))
