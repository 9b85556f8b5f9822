"""The log: which request a line is about, and how many lines a caller can cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
import structlog
from cuvee.client import profile
from cuvee.serving.telemetry.repeats import BURST, INCIDENTS, STRETCH, Repeats
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from hypothesis import given
from hypothesis import strategies as st

from ..conftest import ENVIRONMENT
from .conftest import chosen, until

ID = "x-request-id"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def own(config: Path) -> Iterator[RunningServer]:
    """A server whose log nobody else writes."""
    few = chosen(config, "own", "toy", "explosive", "filled", "failing", "sleeping", "slow")
    with run_server(few, environment=ENVIRONMENT) as running:
        yield running


def call(
    server: RunningServer, product: str, seconds: float = 5, **metadata: str
) -> tuple[grpc.StatusCode, dict[str, str]]:
    """The code and the trailing metadata of one call."""
    request = pb.RecommendRequest(product=product, user_id="viewer-001", profile=profile({}, {"boom": ["boom"]}))
    stub = rpc.RecommendationServiceStub(server.client.channel)
    sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
    try:
        _, made = stub.Recommend.with_call(request, timeout=seconds, metadata=sent)
    except grpc.RpcError as problem:
        made = problem  # type: ignore[assignment]
    return made.code(), dict(made.trailing_metadata())


@pytest.mark.parametrize("product", ["toy", "no such product", "explosive"])
def test_every_answer_names_its_request(own: RunningServer, product: str):
    _, first = call(own, product)
    _, second = call(own, product)
    assert first[ID] and second[ID] and first[ID] != second[ID]
    _, named = call(own, product, x_request_id="my-request.17")
    assert named[ID] == "my-request.17"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'quo"te', "new\\line", "{}", "(id)"])
def test_an_id_that_could_hurt_a_log_is_replaced(own: RunningServer, given: str):
    _, named = call(own, "toy", x_request_id=given)
    assert named[ID] and named[ID] != given


def test_lines_about_a_request_name_it_and_its_trace(own: RunningServer):
    code, _ = call(own, "explosive", x_request_id="boom-1", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    assert code is grpc.StatusCode.INTERNAL
    [line] = [line for line in own.events("internal error") if line.get("request_id") == "boom-1"]
    assert line["trace_id"] == TRACE
    call(own, "slow", 0.2, x_request_id="degraded-1")
    ids = [line["request_ids"] for line in own.events("source degraded") if line["product"] == "slow"]
    assert ["degraded-1"] in ids


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", f"00-{TRACE}", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01"],
)
def test_a_broken_traceparent_is_no_trace(own: RunningServer, given: str):
    call(own, "explosive", x_request_id="no-trace", traceparent=given)
    lines = [line for line in own.events("internal error") if line.get("request_id") == "no-trace"]
    assert all("trace_id" not in line for line in lines)


def test_a_caller_does_not_decide_how_much_is_written(own: RunningServer):
    before = own.log
    for _ in range(200):
        with suppress(grpc.RpcError):
            rpc.RecommendationServiceStub(own.client.channel).Recommend(
                pb.RecommendRequest(product="sleeping", user_id="user-1"), timeout=0.006
            )
        call(own, "failing")
        call(own, "explosive")
    added = own.log[len(before) :]
    lines = [json.loads(line) for line in added.splitlines()]
    kinds = {(line["event"], line.get("product"), line.get("source"), line.get("reason")) for line in lines}
    # the incidents of 200 errors are told too, in short
    stretches = 6
    assert len(lines) <= stretches * (BURST * len(kinds) + INCIDENTS)
    assert len(added) < 200_000
    assert sum(line["event"] == "internal error" and "exception" in line for line in lines) <= stretches * BURST

    def told() -> bool:
        return any(line["left_out"] for line in own.events("lines left out"))

    until(told)


@given(st.lists(st.sampled_from(["a", "b"]), max_size=60), st.lists(st.floats(0, 3), min_size=60, max_size=60))
def test_every_line_is_written_or_counted(kinds: list[str], pauses: list[float]):
    now = 0.0
    repeats = Repeats(clock=lambda: now)
    written = told = 0
    for kind, pause in zip(kinds, pauses, strict=False):
        now += pause
        try:
            line = repeats(None, "warning", {"event": kind, "detail": now})
        except structlog.DropEvent:
            continue
        written += 1
        told += line.get("left_out", 0)
    now += STRETCH
    told += sum(line["left_out"] for line in repeats.ended())
    assert written + told == len(kinds)
    assert repeats.ended() == []
    assert written <= 2 * BURST * (1 + sum(pauses[: len(kinds)]) / STRETCH)


def test_incidents_are_written_without_their_traceback_and_audits_always():
    repeats = Repeats(clock=lambda: 0.0)
    found = []
    for at in range(INCIDENTS + 10):
        try:
            found.append(repeats(None, "error", {"event": "internal error", "incident": str(at), "exc_info": True}))
        except structlog.DropEvent:
            assert at >= INCIDENTS
    assert [line["incident"] for line in found] == [str(at) for at in range(INCIDENTS)]
    assert sum("exc_info" in line for line in found) == BURST
    for _ in range(1000):
        repeats(None, "info", {"event": "audit"})


def test_what_is_remembered_is_bounded():
    repeats = Repeats(clock=lambda: 0.0)
    for at in range(5000):
        repeats(None, "info", {"event": f"e{at}"})
    assert len(repeats._kinds) <= 1000
