"""The client retries where that helps, within a budget that keeps retries from adding to an overload."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from cuvee.client import SERVICE_CONFIG, Client
from cuvee.v1 import events_pb2, events_pb2_grpc
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

CALLS = 200
NODE = Path(__file__).parents[2] / "node" / "cuvee.js"


class Refusing(rpc.RecommendationServiceServicer, events_pb2_grpc.EventServiceServicer):
    """A server that refuses the calls it is told to refuse, and counts all calls."""

    code: grpc.StatusCode | None = grpc.StatusCode.UNAVAILABLE
    fails = 10**9
    pushback = ""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.hold = threading.Event()
        self.hold.set()

    def _answer(self, rpc_name: str, context: grpc.ServicerContext) -> None:
        self.attempts[rpc_name] += 1
        self.hold.wait(20)
        if self.code is not None and self.attempts[rpc_name] <= self.fails:
            if self.pushback:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", self.pushback),))
            context.abort(self.code, "no")

    def Recommend(self, request, context):  # noqa: N802
        self._answer("Recommend", context)
        return pb.RecommendResponse()

    def WriteEvents(self, request, context):  # noqa: N802
        self._answer("WriteEvents", context)
        return events_pb2.WriteEventsResponse()


@pytest.fixture
def refusing() -> Iterator[tuple[Refusing, Client]]:
    servicer = Refusing()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    rpc.add_RecommendationServiceServicer_to_server(servicer, server)
    events_pb2_grpc.add_EventServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}") as client:
        yield servicer, client
    server.stop(0).wait()


def outcomes(client: Client, calls: int) -> Counter[str]:
    """Of so many calls, eight at a time."""

    def one(_: int) -> str:
        try:
            client.recommend("toy", "somebody", timeout=10)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    with futures.ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(one, range(calls)))


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"])
def test_a_server_that_refuses_everything_is_not_asked_much_more_often(refusing: tuple[Refusing, Client], code: str):
    servicer, client = refusing
    servicer.code = grpc.StatusCode[code]
    assert outcomes(client, CALLS) == {code: CALLS}
    assert CALLS < servicer.attempts["Recommend"] <= 1.2 * CALLS


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"])
def test_a_refusal_that_passes_is_not_seen(refusing: tuple[Refusing, Client], code: str):
    servicer, client = refusing
    servicer.code, servicer.fails, servicer.pushback = grpc.StatusCode[code], 2, "20"
    assert outcomes(client, 1) == {"OK": 1}
    assert servicer.attempts["Recommend"] == 3


def test_what_is_wrong_is_not_asked_again(refusing: tuple[Refusing, Client]):
    servicer, client = refusing
    servicer.code = grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(client, 5) == {"INVALID_ARGUMENT": 5}
    assert servicer.attempts["Recommend"] == 5


def test_an_event_that_may_have_been_stored_is_not_sent_again_and_a_refused_one_is(refusing: tuple[Refusing, Client]):
    servicer, client = refusing
    with pytest.raises(grpc.RpcError):
        client.events.WriteEvents(events_pb2.WriteEventsRequest())
    assert servicer.attempts["WriteEvents"] == 1
    servicer.code, servicer.fails = grpc.StatusCode.RESOURCE_EXHAUSTED, 2
    client.events.WriteEvents(events_pb2.WriteEventsRequest())
    assert servicer.attempts["WriteEvents"] == 3


def test_the_clients_of_both_languages_have_one_policy():
    text = NODE.read_text()
    for key, value in SERVICE_CONFIG["retryThrottling"].items():
        assert f"{key}: {value}" in text
    policy = SERVICE_CONFIG["methodConfig"][0]["retryPolicy"]
    for key, value in policy.items():
        if key != "retryableStatusCodes":
            assert re.search(rf"{key}: {re.escape(json.dumps(value))}", text), key
    for config in SERVICE_CONFIG["methodConfig"]:
        codes = ", ".join(map(json.dumps, config["retryPolicy"]["retryableStatusCodes"]))
        assert f"retryPolicy({codes})" in text


def test_a_call_that_its_caller_gives_up_is_not_asked_again(refusing: tuple[Refusing, Client]):
    servicer, client = refusing
    servicer.code = None
    hold = threading.Event()
    servicer.hold = hold
    call = client._stub.Recommend.future(pb.RecommendRequest(product="toy"), timeout=20)
    while not servicer.attempts["Recommend"]:
        time.sleep(0.01)
    call.cancel()
    time.sleep(0.3)  # longer than the pause before a second attempt
    hold.set()
    assert servicer.attempts["Recommend"] == 1
