"""Each field of each message of EventService and CatalogService: what is wrong is refused by its path, alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2
from google.protobuf.message import Message

from .fields import BROKEN, FIELDS, NOT_TEXT, Case, Place, reachable, wanted

SERVICES = (
    events_pb2.DESCRIPTOR.services_by_name["EventService"],
    pb.DESCRIPTOR.services_by_name["CatalogService"],
)
METHODS = {method.name: method for service in SERVICES for method in service.methods}
PLACES = {name: list(reachable(method.input_type)) for name, method in METHODS.items()}
ALONE = {"WriteEvents": "events", "BatchUpsertItems": "items", "BatchUpsertUsers": "users"}
"""Batches, each of whose entries is refused by itself."""
NUMBERS = itertools.count()


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def event() -> events_pb2.Event:
    told = {"product": "news", "user_id": "fields", "item_id": "film-001", "event_id": f"field-{next(NUMBERS)}"}
    return events_pb2.Event(**told, type=events_pb2.EVENT_TYPE_VIEW)


def item() -> pb.Item:
    return pb.Item(item_id=f"field-{next(NUMBERS)}", title="T")


def user() -> pb.User:
    return pb.User(user_id=f"field-{next(NUMBERS)}", profile=profile({"age": 30}))


def good(name: str) -> Any:
    """A request that is taken as it is."""
    stream, one = events_pb2.StreamEventsRequest, {"product": "news"}
    made: dict[str, Any] = {
        "WriteEvents": lambda: events_pb2.WriteEventsRequest(events=[event()]),
        "StreamEvents": lambda: stream(event=event()),
        "MergeUsers": lambda: events_pb2.MergeUsersRequest(**one, anonymous_id="nobody", user_id="nobody else"),
        "UpsertItem": lambda: pb.UpsertItemRequest(**one, item=item()),
        "BatchUpsertItems": lambda: pb.BatchUpsertItemsRequest(**one, items=[item()]),
        "GetItem": lambda: pb.GetItemRequest(**one, item_id="film-001"),
        "ListItems": lambda: pb.ListItemsRequest(**one),
        "DeleteItem": lambda: pb.DeleteItemRequest(**one, item_id="film-119", validate_only=True),
        "UpsertUser": lambda: pb.UpsertUserRequest(**one, user=user()),
        "BatchUpsertUsers": lambda: pb.BatchUpsertUsersRequest(**one, users=[user()]),
        "GetUser": lambda: pb.GetUserRequest(**one, user_id="viewer-000"),
        "ListUsers": lambda: pb.ListUsersRequest(**one),
        "DeleteUser": lambda: pb.DeleteUserRequest(**one, user_id="viewer-000", validate_only=True),
        "ExportUser": lambda: pb.ExportUserRequest(**one, user_id="viewer-000"),
    }
    return made[name]()


def packed(request: Message) -> bytes:
    """As it goes over the wire, the marker being bytes that are no text."""
    return request.SerializeToString().replace(BROKEN.encode(), NOT_TEXT)


def ask(client: Client, name: str, *requests: Message) -> list[Any]:
    """The answers of a call, its requests being bytes that no library of ours has looked at."""
    method = METHODS[name]
    kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    answer = {"stream_stream": client.channel.stream_stream, "unary_stream": client.channel.unary_stream,
              "unary_unary": client.channel.unary_unary}[kind]  # fmt: skip
    reads = getattr(events_pb2, method.output_type.name, None) or getattr(pb, method.output_type.name)
    call = answer(f"/{method.containing_service.full_name}/{name}", response_deserializer=reads.FromString)
    if method.client_streaming:
        return list(call(iter([packed(one) for one in requests]), timeout=10))
    found = call(packed(requests[0]), timeout=10)
    return list(found) if method.server_streaming else [found]


def joined(place: Place, case: Case) -> str:
    """The path that is to be told; of a batch's entry and of an event it begins inside."""
    steps = [*place.steps]
    if steps and steps[0].removesuffix("[0]") in {"event", "events", "items", "users"}:
        steps = steps[1:]
    if place.field.containing_type.name == "StringList" and steps[-1] == "texts":
        steps = [*steps[:-2], f"{steps[-2]}.texts"]
    at = place.field.name if case.at is None else case.at
    whole = case.at is not None and case.at.startswith(("item.", "user."))
    return at if whole else ".".join([*steps, at] if at else steps)


CASES = [
    pytest.param(name, place, id=f"{name}:{'.'.join([*place.steps, place.field.name])}")
    for name, places in PLACES.items()
    for place in places
]


def test_every_field_has_its_cases():
    lacking = {}
    for place in itertools.chain.from_iterable(PLACES.values()):
        there = {case.name for case in FIELDS.get(place.key, [])}
        if place.key not in FIELDS or wanted(place.field) - there:
            lacking[place.key] = sorted(wanted(place.field) - there)
    assert lacking == {}, "write cases for these fields into tests/serving/fields.py"
    assert set(FIELDS) == {place.key for places in PLACES.values() for place in places}, "of fields that are no more"


@pytest.mark.parametrize("name", METHODS)
def test_the_good_requests_are_good(client: Client, name: str):
    (*_, last) = ask(client, name, good(name))
    results = last.results if name in ALONE else [last.result] if name == "StreamEvents" else []
    assert all(not result.HasField("problem") for result in results)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_a_field_takes_what_it_says_and_refuses_the_rest_by_its_path(client: Client, name: str, place: Place):
    for case in FIELDS[place.key]:
        request = good(name)
        if place.steps[:1] == ["events[0]"] and name == "StreamEvents":
            request = events_pb2.StreamEventsRequest(events=[event()])
        case.put(place.holder(request))
        found = outcome(client, name, place, request)
        expected = case.outcome, joined(place, case) if case.outcome == "INVALID_ARGUMENT" else ""
        assert found == expected, case.name


def outcome(client: Client, name: str, place: Place, request: Any) -> tuple[str, str]:
    """The reason of what is refused, or OK, and the path of the field; neighbours are as they were."""
    entry = place.steps[0].removesuffix("[0]") if place.steps else ""
    if name == "StreamEvents":
        before, one, after = ask(client, name, good(name), request, good(name))
        assert [before.result.outcome, after.result.outcome] == [events_pb2.EventResult.OUTCOME_STORED] * 2
        return told(one.results[0] if one.results else one.result)
    try:
        if entry and ALONE.get(name) == entry:
            neighbours = [getattr(good(name), entry)[0] for _ in range(2)]
            entries = getattr(request, entry)
            entries.insert(0, neighbours[0])
            entries.append(neighbours[1])
            (answer,) = ask(client, name, request)
            assert [told(answer.results[at]) for at in (0, 2)] == [("OK", "")] * 2
            return told(answer.results[1])
        ask(client, name, request)
    except grpc.RpcError as problem:
        failure = failure_of(problem)
        return failure.reason, failure.field
    return "OK", ""


def told(result: Any) -> tuple[str, str]:
    return (result.problem.reason, result.problem.field) if result.HasField("problem") else ("OK", "")


def duplicates() -> Iterator[tuple[str, Any, list[str]]]:
    """Batches with one id twice, and what becomes of each entry."""
    one, two, twice, again = item(), user(), event(), event()
    stored = ["OUTCOME_STORED", "OUTCOME_STORED", "OUTCOME_DUPLICATE"]
    upserted = ["UPSERT_OUTCOME_CREATED", "UPSERT_OUTCOME_UNCHANGED"]
    yield "WriteEvents", events_pb2.WriteEventsRequest(events=[twice, event(), twice]), stored
    yield "StreamEvents", events_pb2.StreamEventsRequest(events=[again, event(), again]), stored
    yield "BatchUpsertItems", pb.BatchUpsertItemsRequest(product="news", items=[one, one]), upserted
    yield "BatchUpsertUsers", pb.BatchUpsertUsersRequest(product="news", users=[two, two]), upserted


@pytest.mark.parametrize(("name", "request_", "expected"), list(duplicates()))
def test_one_id_twice_in_a_batch(client: Client, name: str, request_: Any, expected: list[str]):
    (answer,) = ask(client, name, request_)
    found = [r.DESCRIPTOR.fields_by_name["outcome"].enum_type.values_by_number[r.outcome].name for r in answer.results]
    assert found == expected
