"""EventService: each event is checked by itself, stored once, and acknowledged when it is durable."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of
from cuvee.testing import RunningServer
from cuvee.v1 import events_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

Result = pb.EventResult
STORED, DUPLICATE, REJECTED = Result.OUTCOME_STORED, Result.OUTCOME_DUPLICATE, Result.OUTCOME_REJECTED
NUMBERS = itertools.count()


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def event(**fields: Any) -> pb.Event:
    good = {"product": "toy", "user_id": "writer", "item_id": "film-001", "type": pb.EVENT_TYPE_VIEW}
    return pb.Event(**{**good, "event_id": f"event-{next(NUMBERS)}", **fields})


def write(client: Client, *events: pb.Event, **options: Any) -> pb.WriteEventsResponse:
    return client.events.WriteEvents(pb.WriteEventsRequest(events=events, **options), timeout=10)


def at(seconds: float, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=nanos)


BAD = {
    "a rating without a rating": (event(type=pb.EVENT_TYPE_RATING), "value"),
    "a rating not a number": (event(type=pb.EVENT_TYPE_RATING, value=math.nan), "value"),
    "no pieces bought": (event(type=pb.EVENT_TYPE_PURCHASE, value=0), "value"),
    "pieces brought back": (event(type=pb.EVENT_TYPE_PURCHASE, value=-1), "value"),
    "the year 9999": (event(event_time=at(253_402_300_799)), "event_time"),
}
"""What depends on more than one field; each field by itself: ``fields.py``."""

GOOD = {
    "the longest ids": event(user_id="u" * 256, session_id="s" * 256, item_id="i" * 256, recommendation_id="r" * 256),
    "the longest event id": event(event_id="é" * 128),
    "right to left": event(user_id="مستخدم", item_id="סרט"),
    "marks that turn the direction": event(user_id="\u202e\u2066abc"),
    "beyond the basic plane": event(user_id="\U0001f600" * 256),
    "what means something elsewhere": event(user_id="'; DROP TABLE cuvee_events; --", item_id='%s {} \\ " \n\t'),
    "a session alone": event(user_id="", session_id="visitor"),
    "an item that the catalogue does not know": event(item_id="never heard of"),
    "a view of nothing": event(value=0),
    "many pieces": event(type=pb.EVENT_TYPE_PURCHASE, value=1e300),
    "a rating below nothing": event(type=pb.EVENT_TYPE_RATING, value=-10),
    "the smallest value": event(value=5e-324),
    "the beginning of time": event(event_time=at(0)),
    "four minutes ahead": event(event_time=at(time.time() + 240)),
    "the first position": event(position=0),
    "the last position": event(position=2**31 - 1),
    "no event id": event(event_id=""),
    **{f"type {kind}": event(type=kind, value=1) for kind in range(1, 7)},
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_refused_by_field_and_its_neighbours_are_stored(client: Client, case: str):
    bad, field = BAD[case]
    answer = write(client, event(), bad, event())
    assert [r.outcome for r in answer.results] == [STORED, REJECTED, STORED]
    assert answer.stored_count == 2
    refused = answer.results[1]
    assert (refused.problem.field, refused.problem.code) == (field, code_pb2.INVALID_ARGUMENT)
    assert refused.problem.reason == "INVALID_ARGUMENT"
    assert refused.problem.message
    assert not answer.results[0].HasField("problem")


@pytest.mark.parametrize("case", GOOD)
def test_a_good_event_is_stored(client: Client, case: str):
    (result,) = write(client, GOOD[case]).results
    assert result.outcome == STORED, result
    assert result.event_id
    assert result.event_id == (GOOD[case].event_id or result.event_id)


def test_an_unknown_product_is_not_found(client: Client):
    answer = write(client, event(product="shoes"), event())
    assert [r.outcome for r in answer.results] == [REJECTED, STORED]
    assert answer.results[0].problem.code == code_pb2.NOT_FOUND


def test_items_that_the_catalogue_does_not_know_are_kept_and_told(client: Client):
    answer = write(client, event(item_id="never"), event())
    assert [r.item_unknown for r in answer.results] == [True, False]
    assert answer.stored_count == 2


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_a_wrong_length_is_refused_as_a_whole(client: Client, count: int):
    with pytest.raises(grpc.RpcError) as failure:
        write(client, *[event()] * count)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure_of(failure.value).field == "events"


def test_of_several_with_one_id_the_first_is_stored(client: Client):
    twice = event(event_id="twice")
    answer = write(client, twice, event(event_id="twice", item_id="film-002"), event(), twice)
    assert [r.outcome for r in answer.results] == [STORED, DUPLICATE, STORED, DUPLICATE]
    assert answer.stored_count == 2
    again = write(client, twice, event(event_id="twice", item_id="", user_id="other"))
    assert [r.outcome for r in again.results] == [DUPLICATE, REJECTED]
    assert [r.event_id for r in again.results] == ["twice", "twice"]
    assert write(client, event(event_id=""), event(event_id="")).stored_count == 2, "each got an id of its own"


def test_a_thousand_events_in_one_call(client: Client):
    events = [event(user_id=f"user-{n % 10}", item_id=f"film-{n % 100:03d}") for n in range(1000)]
    assert write(client, *events).stored_count == 1000
    assert write(client, *events).stored_count == 0


def test_what_is_only_checked_is_not_stored(client: Client):
    old, new = event(), event()
    write(client, old)
    answer = write(client, old, new, event(item_id=""), validate_only=True)
    assert [r.outcome for r in answer.results] == [DUPLICATE, STORED, REJECTED]
    assert answer.stored_count == 0
    assert write(client, new).stored_count == 1


def test_a_message_that_is_none_is_invalid(client: Client):
    raw = client.channel.unary_unary("/cuvee.v1.EventService/WriteEvents")
    with pytest.raises(grpc.RpcError) as failure:
        raw(b"\xff\xff\xff", timeout=5)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def sent(events: list[pb.Event]) -> list[pb.StreamEventsRequest]:
    return [pb.StreamEventsRequest(sequence=n * 7 - 3, event=one) for n, one in enumerate(events)]


def test_a_stream_answers_each_event_in_its_order(client: Client):
    events = [event() for _ in range(500)]
    events[3] = event(item_id="")
    events[100] = events[50]
    events[499] = event(product="shoes")
    requests = sent(events)
    answers = list(client.events.StreamEvents(iter(requests), timeout=30))
    assert [a.sequence for a in answers] == [r.sequence for r in requests]
    outcomes = [a.result.outcome for a in answers]
    assert outcomes[3] == outcomes[499] == REJECTED
    assert outcomes[100] == DUPLICATE
    assert outcomes.count(STORED) == 497
    assert answers[3].result.problem.field == "item_id"
    assert write(client, *events[:3]).stored_count == 0, "they are there"


def test_an_event_is_answered_before_the_next_is_sent(client: Client):
    answers: list[int] = []

    def conversation():
        for n in range(20):
            assert len(answers) == n, "an answer does not wait for the stream's end"
            yield pb.StreamEventsRequest(sequence=n, event=event())
            while len(answers) == n:
                time.sleep(0.001)

    for answer in client.events.StreamEvents(conversation(), timeout=10):
        answers.append(answer.sequence)  # noqa: PERF401 - the conversation looks at it as it grows
    assert answers == list(range(20))


def test_in_a_stream_a_message_that_is_none_is_refused_and_the_stream_goes_on(client: Client):
    stream = client.channel.stream_stream(
        "/cuvee.v1.EventService/StreamEvents", response_deserializer=pb.StreamEventsResponse.FromString
    )
    good = sent([event(), event()])
    messages = [good[0].SerializeToString(), b"\xff\xff\xff", good[1].SerializeToString()]
    answers = list(stream(iter(messages), timeout=10))
    assert [a.result.outcome for a in answers] == [STORED, REJECTED, STORED]
    assert answers[1].result.problem.reason == "INVALID_ARGUMENT"


def test_many_events_in_one_message_are_answered_together_each_by_itself(client: Client):
    twice = event()
    many = [event(), event(item_id=""), twice, event(product="shoes"), twice]
    requests = [
        pb.StreamEventsRequest(sequence=1, events=many),
        pb.StreamEventsRequest(sequence=2, event=event()),
        pb.StreamEventsRequest(sequence=3, events=[event() for _ in range(1000)]),
        pb.StreamEventsRequest(sequence=4, events=[event()], event=event()),
        pb.StreamEventsRequest(sequence=5, events=[event()] * 1001),
        pb.StreamEventsRequest(sequence=6),
    ]
    answers = list(client.events.StreamEvents(iter(requests), timeout=30))
    assert [a.sequence for a in answers] == [1, 2, 3, 4, 5, 6]
    assert [r.outcome for r in answers[0].results] == [STORED, REJECTED, STORED, REJECTED, DUPLICATE]
    assert [r.event_id for r in answers[0].results] == [one.event_id for one in many]
    assert answers[0].results[1].problem.field == "item_id"
    assert not answers[0].HasField("result")
    assert answers[1].result.outcome == STORED
    assert [r.outcome for r in answers[2].results] == [STORED] * 1000
    assert [a.result.problem.field for a in answers[3:]] == ["events", "events", "product"]
    assert not any(a.results for a in answers[3:])
    assert write(client, twice, *requests[2].events[:3], requests[3].events[0]).stored_count == 1


def test_an_empty_stream_ends_well(client: Client):
    assert list(client.events.StreamEvents(iter(()), timeout=5)) == []


def test_merging_moves_what_a_visitor_did(client: Client):
    write(client, *[event(user_id="", session_id="visit-1") for _ in range(3)], event(user_id="merged"))
    ask = pb.MergeUsersRequest(product="toy", anonymous_id="visit-1", user_id="merged")
    dry = pb.MergeUsersRequest(product="toy", anonymous_id="visit-1", user_id="merged", validate_only=True)
    assert client.events.MergeUsers(dry, timeout=5).moved_event_count == 3
    assert client.events.MergeUsers(ask, timeout=5).moved_event_count == 3
    assert client.events.MergeUsers(ask, timeout=5).moved_event_count == 0


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"product": ""}, grpc.StatusCode.INVALID_ARGUMENT, "product"),
        ({"product": "shoes"}, grpc.StatusCode.NOT_FOUND, ""),
        ({"anonymous_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "anonymous_id"),
        ({"anonymous_id": "x\0"}, grpc.StatusCode.INVALID_ARGUMENT, "anonymous_id"),
        ({"anonymous_id": "x" * 257}, grpc.StatusCode.INVALID_ARGUMENT, "anonymous_id"),
        ({"user_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "user_id"),
        ({"user_id": "x" * 257}, grpc.StatusCode.INVALID_ARGUMENT, "user_id"),
        ({"user_id": "anonymous"}, grpc.StatusCode.INVALID_ARGUMENT, "user_id"),
    ],
)
def test_a_wrong_merge_is_refused(client: Client, fields: dict[str, str], code: grpc.StatusCode, field: str):
    good = {"product": "toy", "anonymous_id": "anonymous", "user_id": "known"}
    with pytest.raises(grpc.RpcError) as failure:
        client.events.MergeUsers(pb.MergeUsersRequest(**{**good, **fields}), timeout=5)
    assert failure.value.code() is code
    assert failure_of(failure.value).field == field


def test_nothing_of_the_users_is_logged(stored_server: RunningServer):
    write(
        stored_server.client, event(user_id="somebody-secret", item_id="never heard of it"), event(user_id="\0secret")
    )
    assert "secret" not in stored_server.log
