"""Items: upserted and deleted in the order of the product's revisions.

A writer of a product's items locks its row of ``cuvee_heads``, so a reader that has seen revision r
and asks for newer ones never misses a row that was committed late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select, update

from cuvee.data.store.events import PAGE, insert_into
from cuvee.data.store.rows import ItemChange, ItemRow, now
from cuvee.data.store.tables import HEADS, ITEMS

__all__ = ["items_of", "items_since", "read_item", "revision_of", "write_items"]


def _row(found: Any) -> ItemRow:
    return ItemRow(
        found.item_id,
        found.title,
        json.loads(found.attributes),
        bool(found.deleted),
        found.created,
        found.updated,
        found.revision,
        found.born,
    )


def revision_of(connection: Connection, product: str) -> int:
    """The product's newest revision; 0 before the first write."""
    return connection.execute(select(HEADS.c.revision).where(HEADS.c.product == product)).scalar() or 0


def read_item(connection: Connection, product: str, item_id: str) -> ItemRow | None:
    """One item that was written, deleted ones too; None where the store has no row of it."""
    query = select(ITEMS).where(ITEMS.c.product == product, ITEMS.c.item_id == item_id)
    found = connection.execute(query).one_or_none()
    return None if found is None else _row(found)


def items_of(connection: Connection, product: str, ids: Sequence[str]) -> dict[str, ItemRow]:
    """The written items among the given ids, by id."""
    found: dict[str, ItemRow] = {}
    for at in range(0, len(ids), PAGE):
        query = select(ITEMS).where(ITEMS.c.product == product, ITEMS.c.item_id.in_(ids[at : at + PAGE]))
        found |= {row.item_id: _row(row) for row in connection.execute(query)}
    return found


def items_since(connection: Connection, product: str, revision: int) -> list[ItemRow]:
    """Items that were written after a revision, in the order in which they came to the store."""
    query = select(ITEMS).where(ITEMS.c.product == product, ITEMS.c.revision > revision).order_by(ITEMS.c.born)
    return [_row(found) for found in connection.execute(query)]


def write_items(
    connection: Connection,
    product: str,
    changes: Sequence[tuple[str, Callable[[ItemRow | None], ItemRow | None]]],
) -> list[ItemChange | None]:
    """Change items, each based on its stored row; where a change returns None the item stays as it is.

    A change gets the row, or None where the store has none of the item, and returns the new row.
    Unchanged rows are not written.
    """
    if not changes:
        return []
    head = insert_into(connection, HEADS).on_conflict_do_nothing()
    connection.execute(head, {"product": product, "revision": 0, "born": 0})
    revision, born = connection.execute(
        select(HEADS.c.revision, HEADS.c.born).where(HEADS.c.product == product).with_for_update()
    ).one()
    there = items_of(connection, product, sorted({item_id for item_id, _ in changes}))
    made: list[ItemChange | None] = []
    dirty: dict[str, ItemRow] = {}
    time = now()
    for item_id, change in changes:
        old = there.get(item_id)
        new = change(old)
        if new is None:
            made.append(None)
            continue
        if old is not None and _content(old) == _content(new):
            made.append(ItemChange(old, created=False, changed=False))
            continue
        alive = old is not None and not old.deleted
        if old is None:
            born += 1
        kept = replace(
            new,
            item_id=item_id,
            updated=time,
            created=(old.created if alive and old else time if new.created else None),
            revision=revision + 1,
            born=old.born if old else born,
        )
        there[item_id] = dirty[item_id] = kept
        made.append(ItemChange(kept, created=not alive, changed=True))
    if dirty:
        _save(connection, product, dirty)
        connection.execute(update(HEADS).where(HEADS.c.product == product).values(revision=revision + 1, born=born))
    return made


def _content(row: ItemRow) -> tuple[str, dict[str, Any], bool]:
    return row.title, dict(row.attributes), row.deleted


def _save(connection: Connection, product: str, rows: dict[str, ItemRow]) -> None:
    insert = insert_into(connection, ITEMS)
    names = ("title", "attributes", "deleted", "created", "updated", "revision")
    upsert = insert.on_conflict_do_update(
        index_elements=[ITEMS.c.product, ITEMS.c.item_id], set_={name: insert.excluded[name] for name in names}
    )
    connection.execute(
        upsert,
        [
            {
                "product": product,
                "item_id": item_id,
                "title": row.title,
                "attributes": json.dumps(dict(row.attributes), ensure_ascii=False, separators=(",", ":")),
                "deleted": row.deleted,
                "created": row.created,
                "updated": row.updated,
                "revision": row.revision,
                "born": row.born,
            }
            for item_id, row in sorted(rows.items())
        ],
    )
