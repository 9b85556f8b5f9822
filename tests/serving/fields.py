"""Every field of every message that EventService and CatalogService take, with what can be wrong with it.

``FIELDS`` has an entry for each, and :func:`reachable` finds them by the protos' descriptors: a field without
cases fails ``test_fields.py``. Each case says what to do to the message that holds the field.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cuvee.client import profile
from cuvee.v1 import events_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

BROKEN = "bRoKeN"
"""Stands in a request for bytes that are no UTF-8, of the same length."""
NOT_TEXT = b"\xed\xa0\x80\xff\xfe\xc3"
RIGHT_TO_LEFT = "\u202e\u2067\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"


@dataclass(frozen=True)
class Case:
    name: str
    put: Callable[[Any], object]
    """Makes the message that holds the field wrong, or odd."""
    at: str | None = None
    """The path that is told, from the holder on; None where it is the field's own."""
    outcome: str = "INVALID_ARGUMENT"
    """``OK``: the value is taken. ``NOT_FOUND``: it is a good id of nothing."""


def put(name: str, value: Any) -> Callable[[Any], object]:
    def change(holder: Any) -> None:
        holder.ClearField(name)
        if isinstance(value, list):
            getattr(holder, name).extend(value)
        else:
            setattr(holder, name, value)

    return change


def text(name: str, longest: int, *, required: bool, odd: str = "OK", at: str | None = None) -> list[Case]:
    """A text: ``odd`` is what becomes of strange characters that are a text all the same."""
    return [
        Case("empty", put(name, ""), at, "INVALID_ARGUMENT" if required else "OK"),
        Case("over-long", put(name, "x" * (longest + 1)), at),
        Case("NUL", put(name, "a\0b"), at),
        Case("broken surrogates", put(name, BROKEN), at),
        Case("right to left", put(name, RIGHT_TO_LEFT if odd == "OK" else f"{RIGHT_TO_LEFT}, of nobody"), at, odd),
    ]


def flag(name: str) -> list[Case]:
    return [Case("true", put(name, value=True), outcome="OK")]


def stamp(name: str, *, heeded: bool) -> list[Case]:
    """A time; one that is not heeded is for output only."""
    wrong = "INVALID_ARGUMENT" if heeded else "OK"

    def at(seconds: int, nanos: int = 0) -> Callable[[Any], object]:
        def change(holder: Any) -> None:
            stamp = getattr(holder, name)
            stamp.seconds, stamp.nanos = seconds, nanos

        return change

    return [
        Case("negative", at(-1), outcome=wrong),
        Case("far future", at(int(time.time()) + 3600), outcome=wrong),
        Case("beyond all years", at(2**62), outcome=wrong),
        Case("negative nanos", at(1, -1), outcome=wrong),
        Case("too many nanos", at(1, 2**31 - 1), outcome=wrong),
    ]


def mask(*, good: str) -> list[Case]:
    def paths(*names: str) -> Callable[[Any], object]:
        return lambda holder: holder.update_mask.paths.extend(names)

    return [
        Case("a good path", paths(good), outcome="OK"),
        Case("no such path", paths("price")),
        Case("empty path", paths("")),
        Case("all and more", paths("*", good)),
        Case("over-long", paths(f"{good}.{'x' * 256}")),
        Case("NUL", paths(f"{good}.a\0")),
        Case("broken surrogates", paths(BROKEN)),
        Case("right to left", paths(RIGHT_TO_LEFT)),
        Case("too many", paths(*[good] * 1001)),
    ]


def entries(name: str, path: str, most: int, key: int, *, strict: bool) -> list[Case]:
    """The keys of a map; the values are messages of their own."""
    value = profile({"x": 1.0}).attributes["x"] if "attributes" in name else profile(None, {"x": ["a"]}).interests["x"]

    def keys(*names: str) -> Callable[[Any], object]:
        def change(holder: Any) -> None:
            for one in names:
                getattr(holder, name)[one].CopyFrom(value)

        return change

    named = (lambda one: f"{path}[{one[:100]}]") if strict else (lambda one: f"{path}[{one[:100]}]" if one else path)
    odd = {"at": named(RIGHT_TO_LEFT)} if strict else {"outcome": "OK"}
    return [
        Case("too many", keys(*(f"k{n}" for n in range(most + 1))), path),
        Case("empty", keys(""), named("")),
        Case("over-long", keys("k" * (key + 1)), named("k" * (key + 1))),
        Case("NUL", keys("a\0"), named("a\0")),
        Case("broken surrogates", keys(BROKEN), named("\0")),
        Case("right to left", keys(RIGHT_TO_LEFT), **odd),
    ]


def missing(name: str, at: str | None, outcome: str = "INVALID_ARGUMENT") -> list[Case]:
    return [Case("missing", lambda holder: holder.ClearField(name), at, outcome)]


def page(kind: str) -> dict[str, list[Case]]:
    return {
        f"{kind}.page_size": [
            Case("negative", put("page_size", -1)),
            Case("smallest", put("page_size", -(2**31))),
            Case("largest", put("page_size", 2**31 - 1), outcome="OK"),
        ],
        f"{kind}.page_token": text("page_token", 256, required=False, odd="INVALID_ARGUMENT"),
        f"{kind}.filter": [*text("filter", 2000, required=False, odd="INVALID_ARGUMENT"),
                           Case("no expression", put("filter", "id >"))],
    }  # fmt: skip


def product(*kinds: str) -> dict[str, list[Case]]:
    return {f"{kind}.product": text("product", 256, required=True, odd="NOT_FOUND") for kind in kinds}


def dry(*kinds: str) -> dict[str, list[Case]]:
    return {f"{kind}.validate_only": flag("validate_only") for kind in kinds}


def named(kind: str, field: str, odd: str = "NOT_FOUND") -> dict[str, list[Case]]:
    """The id of what a call is about."""
    return {f"{kind}.{field}": text(field, 256, required=True, odd=odd)}


NUMBERS = [("NaN", math.nan), ("infinite", math.inf), ("negative infinite", -math.inf)]
ATTRIBUTES = {
    "AttributeValue.text": text("text", 65_536, required=False, at=""),
    "AttributeValue.number": [
        *(Case(name, put("number", value), "") for name, value in NUMBERS),
        Case("negative", put("number", -1e308), outcome="OK"),
    ],
    "AttributeValue.texts": [Case("none", lambda holder: holder.texts.SetInParent(), outcome="OK")],
    "AttributeValue.flag": flag("flag"),
    "StringList.values": [
        Case("over-long", put("values", ["a", "x" * 257]), "values[1]"),
        Case("NUL", put("values", ["a", "b\0"]), "values[1]"),
        Case("broken surrogates", put("values", ["a", BROKEN]), "values[1]"),
        Case("right to left", put("values", [RIGHT_TO_LEFT]), outcome="OK"),
        Case("empty", put("values", [""]), outcome="OK"),
        Case("too many", put("values", ["a"] * 101), "values"),
    ],
}
EVENT = {
    **product("Event"),
    "Event.user_id": text("user_id", 256, required=True),
    "Event.session_id": text("session_id", 256, required=False),
    "Event.item_id": text("item_id", 256, required=True),
    "Event.type": [
        Case("unspecified", put("type", 0)),
        Case("unknown", put("type", 99)),
        Case("negative", put("type", -1)),
        Case("rating without a value", put("type", events_pb2.EVENT_TYPE_RATING), "value"),
    ],
    "Event.value": [
        *(Case(name, put("value", value)) for name, value in NUMBERS),
        Case("negative", put("value", -1.0)),
        Case("the heaviest", put("value", 10.0), outcome="OK"),
        Case("heavier", put("value", 10.5)),
        Case("largest", put("value", 1.7e308)),
    ],
    "Event.event_time": stamp("event_time", heeded=True),
    "Event.recommendation_id": text("recommendation_id", 256, required=False),
    "Event.position": [
        Case("negative", put("position", -1)),
        Case("largest", put("position", 2**31 - 1), outcome="OK"),
    ],
    "Event.event_id": text("event_id", 128, required=False),
}
FIELDS: dict[str, list[Case]] = {
    **EVENT,
    **ATTRIBUTES,
    **product("MergeUsersRequest", "UpsertItemRequest", "BatchUpsertItemsRequest", "GetItemRequest"),
    **product("ListItemsRequest", "DeleteItemRequest", "UpsertUserRequest", "BatchUpsertUsersRequest"),
    **product("GetUserRequest", "ListUsersRequest", "DeleteUserRequest", "ExportUserRequest"),
    **dry("WriteEventsRequest", "MergeUsersRequest", "UpsertItemRequest", "BatchUpsertItemsRequest"),
    **dry("DeleteItemRequest", "UpsertUserRequest", "BatchUpsertUsersRequest", "DeleteUserRequest"),
    "WriteEventsRequest.events": [
        Case("none", put("events", [])),
        Case("too many", put("events", [events_pb2.Event()] * 1001)),
    ],
    "StreamEventsRequest.sequence": [Case("any", put("sequence", -(2**63)), outcome="OK")],
    "StreamEventsRequest.event": missing("event", "product"),
    "StreamEventsRequest.events": [
        Case("too many", lambda holder: holder.CopyFrom(type(holder)(events=[events_pb2.Event()] * 1001))),
        Case("beside an event", put("events", [events_pb2.Event()])),
    ],
    **named("MergeUsersRequest", "anonymous_id", "OK"),
    **named("MergeUsersRequest", "user_id", "OK"),
    "UpsertItemRequest.item": missing("item", "item.item_id"),
    "UpsertItemRequest.update_mask": mask(good="attributes"),
    "BatchUpsertItemsRequest.items": [Case("none", put("items", []))],
    "BatchUpsertItemsRequest.update_mask": mask(good="attributes"),
    "Item.item_id": text("item_id", 256, required=True),
    "Item.title": text("title", 1024, required=False),
    "Item.attributes": entries("attributes", "attributes", 256, 64, strict=True),
    "Item.create_time": stamp("create_time", heeded=False),
    "Item.update_time": stamp("update_time", heeded=False),
    **named("GetItemRequest", "item_id"),
    **named("DeleteItemRequest", "item_id"),
    "DeleteItemRequest.allow_missing": flag("allow_missing"),
    **page("ListItemsRequest"),
    **page("ListUsersRequest"),
    "UpsertUserRequest.user": missing("user", "user.user_id"),
    "UpsertUserRequest.update_mask": mask(good="profile.attributes"),
    "BatchUpsertUsersRequest.users": [Case("none", put("users", []))],
    "BatchUpsertUsersRequest.update_mask": mask(good="profile.attributes"),
    "User.user_id": text("user_id", 256, required=True),
    "User.profile": missing("profile", None, "OK"),
    "User.create_time": stamp("create_time", heeded=False),
    "User.update_time": stamp("update_time", heeded=False),
    "UserProfile.attributes": entries("attributes", "attributes", 64, 64, strict=False),
    "UserProfile.interests": entries("interests", "interests", 32, 64, strict=False),
    **named("GetUserRequest", "user_id"),
    **named("DeleteUserRequest", "user_id"),
    "DeleteUserRequest.allow_missing": flag("allow_missing"),
    **named("ExportUserRequest", "user_id"),
}
"""By ``Message.field``."""

ALWAYS = {
    FieldDescriptor.TYPE_STRING: {"over-long", "NUL", "broken surrogates", "right to left", "empty"},
    FieldDescriptor.TYPE_DOUBLE: {"NaN", "infinite", "negative"},
    FieldDescriptor.TYPE_ENUM: {"unspecified", "unknown"},
    FieldDescriptor.TYPE_INT32: {"negative", "largest"},
    FieldDescriptor.TYPE_INT64: {"any"},
    FieldDescriptor.TYPE_BOOL: {"true"},
}
"""The cases that a field of a type cannot be without."""
OF_MESSAGES = {
    "google.protobuf.Timestamp": {"negative", "far future", "too many nanos"},
    "google.protobuf.FieldMask": {"no such path", "over-long", "NUL", "broken surrogates", "right to left", "too many"},
}
OF_MAPS = {"too many", "empty", "over-long", "NUL", "broken surrogates", "right to left"}


def wanted(field: FieldDescriptor) -> set[str]:
    """The cases that a field must have at least."""
    if field.message_type is None:
        return ALWAYS[field.type]
    if field.message_type.GetOptions().map_entry:
        return OF_MAPS
    return OF_MESSAGES.get(field.message_type.full_name, set())


@dataclass(frozen=True)
class Place:
    """Where a field stands in a request."""

    field: FieldDescriptor
    steps: Sequence[str]
    """From the request to the message that holds it; an entry of a map is ``name[key]``."""

    @property
    def key(self) -> str:
        return f"{self.field.containing_type.name}.{self.field.name}"

    def holder(self, request: Any) -> Any:
        for step in self.steps:
            name, _, key = step.partition("[")
            request = getattr(request, name)
            if key == "0]":
                request = request[0] if len(request) else request.add()
            elif key:
                request = request[key[:-1]]
        return request


def reachable(kind: Descriptor, steps: Sequence[str] = ()) -> Iterator[Place]:
    """Every field of a message and of the messages in it."""
    for field in kind.fields:
        yield Place(field, steps)
        inside = field.message_type
        if inside is None or inside.full_name in OF_MESSAGES:
            continue
        if inside.GetOptions().map_entry:
            inside = inside.fields_by_name["value"].message_type
            # a column of its own for each kind of value
            for one in inside.fields:
                yield from (place for place in reachable(inside, [*steps, f"{field.name}[a_{one.name}]"])
                            if one.name in {place.field.name, *place.steps})  # fmt: skip
            continue
        step = f"{field.name}[0]" if field.is_repeated else field.name
        yield from reachable(inside, [*steps, step])
