"""An item: found by its id or words of its title, hidden and shown again."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from cuvee.client import AsyncClient
from cuvee.console.care.messages import AboutItem, HideItem
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import recommendation_pb2

__all__ = ["attributes", "find_item", "hide_item", "moment", "quoted"]

TIMEOUT = 10.0
MOST = 20
"""Items found by their title."""
LONGEST = 500
"""Characters of the words that are looked for; a filter has at most 2,000."""


async def find_item(client: AsyncClient, asked: AboutItem) -> dict[str, Any]:
    """``item``, what is known of it; where no item has the id, ``similar``: those with the words in their title.

    Raises:
        grpc.RpcError: the server cannot answer, or refuses the request.
    """
    try:
        found = await client.catalog.GetItem(
            pb.GetItemRequest(product=asked.product, item_id=asked.item_id), timeout=TIMEOUT
        )
    except grpc.RpcError as problem:
        if problem.code() != grpc.StatusCode.NOT_FOUND or len(asked.item_id) > LONGEST:
            raise
        titled = await _titled(client, asked)
        if not titled:
            raise
        return {"similar": [{"id": item.item_id, "title": item.title} for item in titled]}
    return {"item": _item(found.item)}


async def _titled(client: AsyncClient, asked: AboutItem) -> list[pb.Item]:
    words = quoted(f"%{asked.item_id}%")
    request = pb.ListItemsRequest(product=asked.product, page_size=MOST, filter=f"title ILIKE {words}")
    try:
        return list((await client.catalog.ListItems(request, timeout=TIMEOUT)).items)
    except grpc.RpcError as problem:
        if problem.code() == grpc.StatusCode.INVALID_ARGUMENT:  # the catalogue has no titles
            return []
        raise


async def hide_item(client: AsyncClient, asked: HideItem) -> dict[str, Any]:
    """Set ``available``; the item as it is then.

    Raises:
        grpc.RpcError: as above; NOT_FOUND where there is no such item.
    """
    # an upsert would make an item that is not there
    await client.catalog.GetItem(pb.GetItemRequest(product=asked.product, item_id=asked.item_id), timeout=TIMEOUT)
    value = recommendation_pb2.AttributeValue(flag=asked.available)
    request = pb.UpsertItemRequest(
        product=asked.product,
        item=pb.Item(item_id=asked.item_id, attributes={"available": value}),
        update_mask=FieldMask(paths=["attributes.available"]),
    )
    return {"item": _item((await client.catalog.UpsertItem(request, timeout=TIMEOUT)).item)}


def _item(item: pb.Item) -> dict[str, Any]:
    known = attributes(item.attributes)
    return {
        "id": item.item_id,
        "title": item.title,
        "available": not any(name == "available" and value == "false" for name, value in known),
        "attributes": known,
        "created": moment(item.create_time) if item.HasField("create_time") else "",
        "updated": moment(item.update_time) if item.HasField("update_time") else "",
    }


def attributes(values: Any) -> list[tuple[str, str]]:
    """Columns with their values as texts, by name; nulls are empty."""
    return [(name, _text(values[name])) for name in sorted(values)]


def _text(value: recommendation_pb2.AttributeValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "texts":
        return ", ".join(value.texts.values)
    if kind == "flag":
        return "true" if value.flag else "false"
    if kind == "number":
        return f"{value.number:.15g}"
    return value.text


def moment(time: Timestamp) -> str:
    """ISO 8601, UTC."""
    return time.ToJsonString()


def quoted(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"
