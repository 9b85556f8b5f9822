"""Sources that raise errors, return wrong data or hang: the others answer in time, and the answer says so."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.testing import RunningServer, Toy
from cuvee.v1 import recommendation_pb2 as pb

BOOM = profile(None, {"boom": ["loud"]})
LIVE, DEGRADED = pb.SourceStatus.STATUS_LIVE, pb.SourceStatus.STATUS_DEGRADED


def reasons(answer) -> dict[str, str]:
    return {
        s.source: pb.DegradedReason.Name(s.reason).removeprefix("DEGRADED_REASON_")
        for s in answer.sources
        if s.status == DEGRADED
    }


def test_all_the_ways_to_fail_in_one_request(server: RunningServer):
    started = time.monotonic()
    answer = server.client.recommend("failing", "viewer-003", timeout=0.6)
    took = time.monotonic() - started
    assert took < 0.6
    assert reasons(answer) == {
        "raises": "ERROR",
        "garbage": "INVALID_OUTPUT",
        "sleeps": "TIMEOUT",
        "sleeps_async": "TIMEOUT",
        "garbage_scores": "INVALID_OUTPUT",
        "exits": "ERROR",
    }
    assert answer.degraded
    assert {s.source for s in answer.sources if s.status == LIVE} == {"pairs", "popular"}
    assert len(answer.items) == 20
    for item in answer.items:
        assert [a.source for a in item.attributions] == ["pairs", "popular"]
        assert sum(a.weight for a in item.attributions) == pytest.approx(1), "renormalised over the living"
        assert sum(a.contribution for a in item.attributions) == pytest.approx(item.score, abs=1e-6)
    details = {s.source: s.detail for s in answer.sources}
    assert details["sleeps"] == "no answer within 100 ms"
    assert details["raises"] == "raised an error that is none of its promises"
    assert "ValueError" not in str(answer)
    assert "secret" not in str(answer)
    assert "secret" in server.log, "the log has what the caller does not get"
    assert "student" not in server.log, "but nothing of who the users are"


@pytest.mark.parametrize("deadline", [0.6, 1.5])
def test_a_source_that_sleeps_without_a_timeout_of_its_own_never_costs_the_deadline(client: Client, deadline: float):
    started = time.monotonic()
    answer = client.recommend("sleeping", "viewer-003", timeout=deadline)
    assert time.monotonic() - started < deadline
    assert reasons(answer) == {"sleeps": "TIMEOUT"}
    assert len(answer.items) == 20


def test_callers_without_a_deadline_get_the_servers(client: Client):
    started = time.monotonic()
    answer = client._stub.Recommend(pb.RecommendRequest(product="sleeping", user_id="viewer-003"))
    assert time.monotonic() - started < 2.0
    assert reasons(answer) == {"sleeps": "TIMEOUT"}


def test_a_deadline_that_cannot_be_met_is_exceeded(client: Client):
    with pytest.raises(grpc.RpcError) as failure:
        client.recommend("slow", "viewer-003", timeout=0.001)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_when_all_sources_fail_the_chain_fills_and_filters_hold(client: Client, toy):
    years = dict(zip(toy.grown.items.frame["id"], toy.grown.items.frame["year"], strict=True))
    answer = client.recommend("filled", "viewer-003", filter="year < 2000")
    assert len(answer.items) == 20
    assert {(item.fallback.source, item.fallback.level) for item in answer.items} == {("popular", 2)}
    assert {item.fallback.reason for item in answer.items} == {pb.DEGRADED_REASON_ERROR}
    # by the rule of the product and the filter of the request
    assert all(1960 <= years[item.item_id] < 2000 for item in answer.items)
    seen = set(toy.grown.items.ids(toy.data.events.row(3)))
    assert not seen & {item.item_id for item in answer.items}
    assert reasons(answer) == {"raises": "ERROR", "garbage": "INVALID_OUTPUT"}
    assert answer.sources[-1].source == "popular"
    assert answer.sources[-1].status == LIVE


def test_when_the_chain_fails_as_well_the_list_comes_from_the_catalogue(client: Client, toy: Toy):
    answer = client.recommend("dead", "viewer-003", page_size=10)
    seen = set(toy.grown.items.ids(toy.data.events.row(3)))
    newest = [i for i in reversed(toy.grown.items.frame["id"].to_list()) if i not in seen]
    assert [item.item_id for item in answer.items] == newest[:10]
    assert {(item.fallback.source, item.fallback.level) for item in answer.items} == {("catalogue", 2)}
    assert {item.fallback.reason for item in answer.items} == {pb.DEGRADED_REASON_ERROR}
    assert answer.degraded
    assert reasons(answer) == {"raises": "ERROR", "garbage": "INVALID_OUTPUT", "exits": "ERROR"}
    ranked = client.rank("dead", ["film-004", "film-002"], "viewer-003")
    # raises and garbage fail as retrievers alone: here they score
    assert {item.item_id for item in ranked.items} == {"film-002", "film-004"}
    assert not ranked.degraded


def test_what_nobody_foresaw_is_internal_hidden_and_told_to_the_log(server: RunningServer):
    with pytest.raises(grpc.RpcError) as failure:
        server.client.recommend("explosive", "viewer-005", profile=BOOM)
    told = failure_of(failure.value)
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in str(failure.value)
    incident = told.message.rsplit(" ", 1)[1]
    logged = [line for line in server.events("internal error") if line["incident"] == incident]
    assert len(logged) == 1
    assert "something secret" in str(logged[0]["exception"])


def test_a_row_that_breaks_a_batch_does_not_take_the_others_along(client: Client):
    requests = [pb.RecommendRequest(user_id=f"viewer-{n:03d}", profile=BOOM if n == 5 else None) for n in range(10)]
    found = {one.index: one for one in client.batch_recommend("explosive", requests)}
    assert [n for n, one in found.items() if one.HasField("problem")] == [5]
    assert (found[5].problem.code, found[5].problem.reason) == (13, "INTERNAL")
    assert "secret" not in str(found[5])
    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(client.recommend, "explosive", r.user_id, profile=r.profile) for r in requests]
    assert [n for n, call in enumerate(calls) if call.exception()] == [5]


def test_a_circuit_opens_and_closes_again(server: RunningServer, config: Path):
    trouble = config.parent / "trouble"
    trouble.touch()
    try:
        told = [reasons(server.client.recommend("flaky", "viewer-003")).get("flaky") for _ in range(8)]
        assert told[:5] == ["UNAVAILABLE"] * 5
        assert told[-1] == "CIRCUIT_OPEN"
        time.sleep(1.1)
        assert reasons(server.client.recommend("flaky", "viewer-003"))["flaky"] == "UNAVAILABLE", "the probe"
        assert reasons(server.client.recommend("flaky", "viewer-003"))["flaky"] == "CIRCUIT_OPEN"
    finally:
        trouble.unlink()
    until = time.monotonic() + 10
    while reasons(server.client.recommend("flaky", "viewer-003")):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert [line["source"] for line in server.events("circuit opened") if line["product"] == "flaky"] == ["flaky"]
    assert [line["source"] for line in server.events("circuit closed") if line["product"] == "flaky"] == ["flaky"]
