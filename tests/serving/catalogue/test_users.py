"""CatalogService: users, their profiles, and how they are deleted."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from cuvee.client import Client, profile
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2
from google.protobuf.field_mask_pb2 import FieldMask

CREATED, UPDATED, UNCHANGED = pb.UPSERT_OUTCOME_CREATED, pb.UPSERT_OUTCOME_UPDATED, pb.UPSERT_OUTCOME_UNCHANGED
CLEARED, NOTHING, PENDING = (getattr(pb.ClearedPlace, f"OUTCOME_{n}") for n in ("CLEARED", "NOTHING_FOUND", "PENDING"))


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def test_a_stored_profile_is_used_and_one_that_was_imported_is_changed(client: Client, toy, new_id: str):
    def put(user: pb.User, *mask: str) -> pb.UpsertUserResponse:
        request = pb.UpsertUserRequest(product="toy", user=user, update_mask=FieldMask(paths=mask))
        return client.catalog.UpsertUser(request, timeout=5)

    made = put(pb.User(user_id=new_id, profile=profile({"age": 30}, {"genres": ["Noir"]})))
    assert made.outcome == CREATED
    assert put(pb.User(user_id=new_id, profile=profile({"age": 30}))).outcome == UNCHANGED
    assert client.recommend("toy", new_id).user_known
    changed = put(pb.User(user_id="viewer-001", profile=profile({"age": 99})))
    assert changed.outcome == UPDATED
    occupation = toy.grown.users.row(1)["occupation"]
    assert changed.user.profile.attributes["occupation"].text == occupation
    gone = put(pb.User(user_id="viewer-001"), "profile.attributes.occupation")
    assert list(gone.user.profile.attributes) == ["age"]
    got = client.catalog.GetUser(pb.GetUserRequest(product="toy", user_id="viewer-001"), timeout=5)
    assert got.user == gone.user
    assert got.event_count == len(toy.data.events.row(1))


def test_a_user_who_is_forgotten_is_new(client: Client, other: Client, toy):
    event = events_pb2.Event(product="toy", user_id="viewer-002", item_id="film-004", type=1, event_id="forget-me")
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=5)
    for process in (client, other):
        assert process.recommend("toy", "viewer-002").segment == "warm"
    exported = list(client.catalog.ExportUser(pb.ExportUserRequest(product="toy", user_id="viewer-002"), timeout=5))
    assert exported[0].WhichOneof("record") == "user"
    assert {r.place for r in exported[1:]} == {"dataset.toy", "store.events"}
    assert len(exported) == 2 + len(toy.data.events.row(2))
    times = [r.event.event_time.ToMicroseconds() for r in exported[1:]]
    assert times == sorted(times)
    assert exported[-1].event.event_id == "forget-me"

    def delete(**options: Any) -> pb.DeleteUserResponse:
        request = pb.DeleteUserRequest(**{"product": "toy", "user_id": "viewer-002", **options})
        return client.catalog.DeleteUser(request, timeout=5)

    def outcomes(answer: pb.DeleteUserResponse) -> dict[str, int]:
        return {p.place.partition(".2")[0]: p.outcome for p in answer.places}

    would, done = delete(validate_only=True), delete()
    assert outcomes(would) == outcomes(done)
    assert [(p.place, p.record_count) for p in would.places] == [(p.place, p.record_count) for p in done.places]
    found = outcomes(done)
    assert (found["store.events"], found["store.users"], found["cache.histories"]) == (CLEARED, NOTHING, CLEARED)
    assert (found["dataset.toy"], found["snapshot"]) == (PENDING, PENDING)
    assert not done.complete
    for process in (client, other):
        answer = process.recommend("toy", "viewer-002")
        assert (answer.segment, answer.user_known) == ("cold", False)
    again = outcomes(delete())
    assert (again["store.events"], again["cache.histories"], again["dataset.toy"]) == (NOTHING, NOTHING, PENDING)
    with pytest.raises(grpc.RpcError) as failure:
        client.catalog.GetUser(pb.GetUserRequest(product="toy", user_id="viewer-002"), timeout=5)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_visitor_is_forgotten_wholly_in_every_product(client: Client, stored_server: RunningServer, new_id: str):
    events = [
        events_pb2.Event(product=p, session_id=new_id, item_id="film-004", type=1, event_id=f"{new_id}-x{n}")
        for n, p in enumerate(("toy", "news", "toy"))
    ]
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=5)
    client.recommend("toy", new_id)
    done = client.catalog.DeleteUser(pb.DeleteUserRequest(product="-", user_id=new_id), timeout=5)
    assert done.complete
    counts = {(p.product, p.place): p.record_count for p in done.places if p.outcome == CLEARED}
    assert counts == {("toy", "store.events"): 2, ("news", "store.events"): 1, ("toy", "cache.histories"): 1}
    with pytest.raises(grpc.RpcError) as failure:
        client.catalog.DeleteUser(pb.DeleteUserRequest(product="-", user_id=new_id), timeout=5)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    request = pb.DeleteUserRequest(product="-", user_id=new_id, allow_missing=True)
    assert client.catalog.DeleteUser(request, timeout=5).complete
    assert new_id not in stored_server.log
