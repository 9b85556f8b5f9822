"""The current catalogue: the imported items, updated with those of the store.

Every replica gets the same positions: new items are appended in the order in which they were first
stored, which is their ``born``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from cuvee.data.catalog import Entities, Role
from cuvee.data.filters import compile_filter
from cuvee.data.flags import AVAILABLE, as_flag, as_flags
from cuvee.data.store.rows import Attribute, ItemRow, UserRow
from cuvee.queries import Bools

__all__ = [
    "column_type", "hidden", "hides", "matching", "overlaid", "plain_row", "title_column", "widened", "writable",
]  # fmt: skip

TITLES = ("title", "name")
TEXTS = frozenset({*TITLES, "description", "text"})


def title_column(items: Entities) -> str:
    """The column of titles; ``title`` where there is none yet."""
    schema = items.frame.schema
    return next((name for name in TITLES if schema.get(name) == pl.String), TITLES[0])


def writable(kind: pl.DataType) -> bool:
    """Whether API values fit a column. Vectors, for example, do not, and stay as they were imported."""
    text = kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum | pl.Date)
    text |= isinstance(kind, pl.Datetime) and kind.time_zone is None
    return text or kind.is_numeric() or kind == pl.Boolean or kind == pl.List(pl.String)


def plain_row(entities: Entities, position: int, title: str | None = None) -> tuple[str, dict[str, Attribute]]:
    """A row's title (the given column) and its other writable values, as API values."""
    found: dict[str, Attribute] = {}
    name = ""
    for column, value in entities.row(position).items():
        if not writable(entities.frame.schema[column]):
            continue
        if column == title:
            name = str(value)
        elif isinstance(value, bool | str):
            found[column] = value
        elif isinstance(value, int | float):
            found[column] = float(value)
        elif isinstance(value, list):
            found[column] = [str(one) for one in value if one is not None]
        else:
            found[column] = str(value)
    return name, found


def column_type(value: Attribute) -> pl.DataType:
    """The type of the column that a value creates where its name is new."""
    match value:
        case bool():
            return pl.Boolean()
        case str():
            return pl.String()
        case list():
            return pl.List(pl.String)
        case _:
            return pl.Float64()


def _role(name: str, kind: pl.DataType) -> Role:
    """Decided by name and type alone, since the number of values may differ between replicas' reads."""
    if kind == pl.Boolean:
        return Role.FLAG
    if kind == pl.String:
        return Role.TEXT if name in TEXTS else Role.CATEGORY
    return Role.NUMBER if kind == pl.Float64 else Role.CATEGORIES


def _fitting(value: Attribute | None, kind: pl.DataType) -> Attribute | None:
    """The value, or None where the column is of another type: the first to use a name decides."""
    if isinstance(value, bool):
        return value if kind == pl.Boolean else None
    if isinstance(value, float | int):
        return value if kind.is_numeric() else None
    if isinstance(value, list):
        return value if isinstance(kind, pl.List) else None
    return value if not (kind.is_numeric() or kind == pl.Boolean or isinstance(kind, pl.List)) else None


def _column(name: str, values: Sequence[Attribute | None], kind: pl.DataType) -> pl.Series:
    # rows stored before the service converted it to a flag may hold a number or a word
    fitting = [as_flag(value) if name == AVAILABLE else _fitting(value, kind) for value in values]
    if kind.is_numeric():
        return pl.Series(name, fitting, pl.Float64).cast(kind, strict=False)
    if isinstance(kind, pl.List) or kind in {pl.Boolean, pl.String}:
        return pl.Series(name, fitting, kind)
    texts = pl.Series(name, fitting, pl.String)
    if isinstance(kind, pl.Date):
        return texts.str.to_date(strict=False)
    if isinstance(kind, pl.Datetime):
        return texts.str.to_datetime(strict=False, time_unit=kind.time_unit)
    return texts.cast(kind, strict=False)


def _written(row: ItemRow, title: str) -> Mapping[str, Attribute]:
    """By column."""
    return {**row.attributes, **({title: row.title} if row.title else {})}


def widened(schema: Mapping[str, pl.DataType], rows: Sequence[ItemRow], title: str) -> dict[str, pl.DataType]:
    """The columns, with those that rows add: a new name becomes a column of its first value's type."""
    found = dict(schema)
    for row in rows:
        for name, value in _written(row, title).items():
            if name not in found:
                found[name] = pl.Boolean() if name == AVAILABLE else column_type(value)
    return found


def matching(rows: Sequence[UserRow], sql: str, users: Entities) -> Bools:
    """bool[n]: for which of some users a filter is true, by their rows; ``users`` are those that were imported.

    Raises:
        InvalidArgument: naming ``filter``.
    """
    if not sql or not rows:
        return np.ones(len(rows), np.bool_)
    empty = Entities(users.frame.head(0), users.roles)
    return compile_filter(sql, overlaid(empty, [ItemRow(row.user_id, "", row.attributes) for row in rows])).mask


def overlaid(items: Entities, rows: Sequence[ItemRow]) -> Entities:
    """Entities with rows written over them.

    A row replaces the item's values, except in columns that API values cannot fill. A new item is appended,
    and so is a deleted one, since its position may be in use. A new name adds a column.

    Args:
        items: the items so far; positions keep their meaning.
        rows: the new rows of the store, in the order of ``born``.
    """
    items = items.flagged(AVAILABLE)
    if not rows:
        return items
    title = title_column(items)
    values = [_written(row, title) for row in rows]
    columns = widened(items.frame.schema, rows, title)
    schema = {name: kind for name, kind in columns.items() if name != "id" and writable(kind)}
    new_columns = {name: _role(name, kind) for name, kind in schema.items() if name not in items.frame.schema}
    roles = {**items.roles, **new_columns}
    part = pl.DataFrame(
        [
            pl.Series("id", [row.item_id for row in rows], pl.String),
            *(_column(name, [row.get(name) for row in values], kind) for name, kind in schema.items()),
        ]
    )
    n = len(items)
    at = items.positions([row.item_id for row in rows])
    new = np.flatnonzero(at < 0)
    kept = np.concatenate([np.arange(n), n + new])
    written = kept.copy()
    written[at[at >= 0]] = n + np.flatnonzero(at >= 0)
    both = pl.concat([items.frame, part], how="diagonal")
    frame = pl.DataFrame(
        [both[name].gather(written if name == "id" or name in schema else kept) for name in ["id", *roles]]
    )
    return items.followed(frame, roles)


def hides(row: ItemRow) -> bool:
    """Whether no list may show the item: deleted, or marked as not available."""
    return row.deleted or as_flag(row.attributes.get(AVAILABLE)) is False


def hidden(items: Entities, deleted: Collection[str]) -> Bools:
    """bool[N]: the items that no list may show."""
    found = np.zeros(len(items), np.bool_)
    if AVAILABLE in items.frame.schema:
        found |= ~as_flags(items.frame[AVAILABLE]).fill_null(value=True).to_numpy()
    positions = items.positions(list(deleted))
    found[positions[positions >= 0]] = True
    return found
