"""Calls of CatalogService as its tests make them."""

from __future__ import annotations

import time
from typing import Any

from cuvee.client import Client, profile
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import recommendation_pb2 as rec
from google.protobuf.field_mask_pb2 import FieldMask


def value(given: object) -> rec.AttributeValue:
    return profile({"x": given}).attributes["x"]  # type: ignore[dict-item]


def item(item_id: str, title: str = "", **attributes: object) -> pb.Item:
    return pb.Item(item_id=item_id, title=title, attributes={name: value(one) for name, one in attributes.items()})


def upsert(client: Client, one: pb.Item, *mask: str, product: str = "news", **options: Any) -> pb.UpsertItemResponse:
    request = pb.UpsertItemRequest(product=product, item=one, update_mask=FieldMask(paths=mask), **options)
    return client.catalog.UpsertItem(request, timeout=5)


def get(client: Client, item_id: str, product: str = "news") -> pb.Item:
    return client.catalog.GetItem(pb.GetItemRequest(product=product, item_id=item_id), timeout=5).item


def plain(one: pb.Item) -> dict[str, object]:
    found: dict[str, object] = {"title": one.title}
    for name, given in one.attributes.items():
        kind = given.WhichOneof("value")
        found[name] = list(given.texts.values) if kind == "texts" else getattr(given, kind)
    return found


def listed(client: Client, **fields: Any) -> list[str]:
    return [i.item_id for i in client.recommend("news", page_size=100, **{"user_id": "reader", **fields}).items]


def soon(check: Any, seconds: float = 10.0) -> float:
    """Wait until a check holds; gives the seconds that it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds, "it never came to that"
        time.sleep(0.01)
    return time.monotonic() - began
