"""A user: what is known of him, everything as a file, and its deletion."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson

from cuvee.client import AsyncClient
from cuvee.console.care.items import attributes, moment, quoted
from cuvee.console.care.messages import AboutUser, DeleteUser
from cuvee.errors import InvalidArgument
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2
from cuvee.v1 import recommendation_pb2 as lists_pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["delete_user", "exported", "find_user"]

TIMEOUT = 10.0
EXPORT_TIMEOUT = 600.0
SHOWN = 50
"""Events of the history that the page shows, the newest."""
READ = 20_000
"""Events that are read for them."""
ITEMS = 10
"""Of the list that the user would get."""
FILTER = 1900
"""Characters of a filter by ids."""
EVERYWHERE = "-"


async def find_user(client: AsyncClient, asked: AboutUser) -> dict[str, Any]:
    """Profile, the newest events, and what would be shown.

    Raises:
        grpc.RpcError: the server cannot answer, or refuses the request; NOT_FOUND where nothing is stored.
    """
    request = pb.GetUserRequest(product=asked.product, user_id=asked.user_id)
    found: pb.GetUserResponse = await client.catalog.GetUser(request, timeout=TIMEOUT)
    events, cut = await _history(client, asked)
    titles = await _titles(client, asked.product, [event.item_id for event in events])
    user = found.user
    return {
        "attributes": attributes(user.profile.attributes),
        "interests": [(name, ", ".join(liked.values)) for name, liked in sorted(user.profile.interests.items())],
        "created": moment(user.create_time) if user.HasField("create_time") else "",
        "updated": moment(user.update_time) if user.HasField("update_time") else "",
        "event_count": found.event_count,
        "cut": cut,
        "events": [_event(event, titles) for event in events],
        "list": await _list(client, asked),
    }


async def _history(client: AsyncClient, asked: AboutUser) -> tuple[list[events_pb2.Event], bool]:
    """The newest events, the newest first, and whether there were too many to read all."""
    newest: deque[events_pb2.Event] = deque(maxlen=SHOWN)
    call = client.catalog.ExportUser(
        pb.ExportUserRequest(product=asked.product, user_id=asked.user_id), timeout=TIMEOUT
    )
    read = 0
    try:
        async for record in call:
            if record.HasField("event"):
                newest.append(record.event)
                read += 1
            if read == READ:
                call.cancel()
                return list(reversed(newest)), True
    except grpc.RpcError as problem:
        if problem.code() != grpc.StatusCode.NOT_FOUND:
            raise
    return list(reversed(newest)), False


async def _titles(client: AsyncClient, product: str, ids: Iterable[str]) -> dict[str, str]:
    """Titles of as many items as one filter can name."""
    parts: list[str] = []
    length = 0
    for part in map(quoted, dict.fromkeys(ids)):
        length += len(part) + 1
        if length > FILTER:
            break
        parts.append(part)
    if not parts:
        return {}
    request = pb.ListItemsRequest(product=product, page_size=SHOWN, filter=f"id IN ({','.join(parts)})")
    try:
        found = await client.catalog.ListItems(request, timeout=TIMEOUT)
    except grpc.RpcError:
        return {}  # the history is told without titles
    return {item.item_id: item.title for item in found.items}


def _event(event: events_pb2.Event, titles: dict[str, str]) -> dict[str, Any]:
    kind = events_pb2.EventType.Name(event.type).removeprefix("EVENT_TYPE_").lower()
    return {
        "item": event.item_id,
        "title": titles.get(event.item_id, ""),
        "type": "" if kind == "unspecified" else kind,
        "value": event.value,
        "time": moment(event.event_time),
    }


async def _list(client: AsyncClient, asked: AboutUser) -> dict[str, Any] | None:
    stub: Any = rpc.RecommendationServiceStub(client.channel)
    request = lists_pb.RecommendRequest(
        product=asked.product,
        user_id=asked.user_id,
        page_size=ITEMS,
        view=lists_pb.ATTRIBUTION_VIEW_BASIC,
        preview=True,
    )
    try:
        answer: lists_pb.RecommendResponse = await stub.Recommend(request, timeout=TIMEOUT)
    except grpc.RpcError:
        return None  # what is known of the user does not depend on it
    return {
        "segment": answer.segment,
        "variant": answer.variant,
        "degraded": answer.degraded,
        "items": [
            {"id": item.item_id, "title": item.title, "score": item.score, "reason": item.reason}
            for item in answer.items
        ],
    }


async def exported(client: AsyncClient, asked: AboutUser) -> AsyncIterator[bytes]:
    """Everything that is stored about a user, as lines of JSON.

    Raises:
        grpc.RpcError: as above, before the first line where nothing is stored or may be asked for.
    """
    product = EVERYWHERE if asked.everywhere else asked.product
    request = pb.ExportUserRequest(product=product, user_id=asked.user_id)
    async for record in client.catalog.ExportUser(request, timeout=EXPORT_TIMEOUT):
        said = MessageToJson(record, preserving_proto_field_name=True, indent=None, ensure_ascii=False)
        yield said.encode() + b"\n"


async def delete_user(client: AsyncClient, asked: DeleteUser) -> dict[str, Any]:
    """Look what would be deleted; with the id typed once more, delete it.

    Raises:
        InvalidArgument: what was typed is another id.
        grpc.RpcError: as above.
    """
    if asked.confirmed and asked.confirmed != asked.user_id:
        raise InvalidArgument("confirmed", "is not the user's id: type it exactly as it was found")
    request = pb.DeleteUserRequest(
        product=EVERYWHERE if asked.everywhere else asked.product,
        user_id=asked.user_id,
        validate_only=not asked.confirmed,
    )
    answer: pb.DeleteUserResponse = await client.catalog.DeleteUser(request, timeout=60.0)
    return {"complete": answer.complete, "deleted": bool(asked.confirmed), "places": [_place(p) for p in answer.places]}


def _place(place: pb.ClearedPlace) -> dict[str, Any]:
    return {
        "product": place.product,
        "place": place.place,
        "outcome": pb.ClearedPlace.Outcome.Name(place.outcome).removeprefix("OUTCOME_").lower(),
        "records": place.record_count,
        "detail": place.detail,
    }
