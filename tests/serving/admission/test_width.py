"""While calls wait, sources propose fewer candidates; the answer says so, and nobody is refused for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack
from pathlib import Path

import pytest
from cuvee.client import Client, policy
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb

from ..conftest import ENVIRONMENT

CANDIDATES, K, CALLERS = 40, 5, 12
LIMITS = """
[server.limits]
deadline = "30s"
narrowest = 0.25
[server.limits.lanes]
reads = { in_flight = 2, waiting = 60, patience = "30s" }
"""


@pytest.fixture(scope="module")
def config(granting: Callable[[str, str], Path]) -> Path:
    return granting("narrowing", LIMITS)


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


def proposed(answer: pb.RecommendResponse | pb.SimilarItemsResponse) -> int:
    """How many candidates the only source had."""
    return answer.sources[0].candidate_count


def crowd(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> list[pb.RecommendResponse]:
    """The answers of many who ask at the same time, each on a connection of its own."""
    own = ("grpc.use_local_subchannel_pool", 1)
    monkeypatch.setattr(policy, "OPTIONS", [*policy.OPTIONS, own])
    with ExitStack() as open_, futures.ThreadPoolExecutor(CALLERS) as pool:
        clients = [open_.enter_context(Client(server.address)) for _ in range(CALLERS)]
        for client in clients:
            client.health(timeout=20)
        return list(pool.map(lambda c: c.recommend("crowded", "viewer-001", page_size=K, timeout=30), clients))


def test_a_crowd_gets_narrower_lists_and_nobody_is_refused(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    alone = server.client.recommend("crowded", "viewer-001", page_size=K, timeout=30)
    assert not alone.narrowed
    answers = crowd(server, monkeypatch)
    assert all(len(answer.items) == K and not answer.degraded for answer in answers)
    narrow = [answer for answer in answers if answer.narrowed]
    assert narrow
    assert {proposed(answer) for answer in answers if not answer.narrowed} <= {proposed(alone)}
    assert all(CANDIDATES / 4 <= proposed(answer) < proposed(alone) == CANDIDATES for answer in narrow)
    again = server.client.recommend("crowded", "viewer-001", page_size=K, timeout=30)
    assert not again.narrowed
    assert proposed(again) == CANDIDATES


def test_no_list_is_narrower_than_it_is_long(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    with futures.ThreadPoolExecutor(1) as pool:
        crowding = pool.submit(crowd, server, monkeypatch)
        found = [server.client.recommend("crowded", "viewer-002", page_size=35, timeout=30) for _ in range(3)]
        crowding.result(60)
    assert all(len(answer.items) == 35 for answer in found)


def test_a_batch_is_never_narrowed(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    with futures.ThreadPoolExecutor(1) as pool:
        crowding = pool.submit(crowd, server, monkeypatch)
        requests = [pb.RecommendRequest(user_id=f"viewer-{n:03d}", page_size=K) for n in range(5)]
        batch = pb.BatchRecommendRequest(product="crowded", requests=requests)
        found = [one.response for one in server.client._stub.BatchRecommend(batch, timeout=60)]
        assert any(answer.narrowed for answer in crowding.result(60))
    assert [proposed(answer) for answer in found] == [CANDIDATES] * 5
    assert not any(answer.narrowed for answer in found)


def test_whoever_wants_wide_lists_only_says_so(config: Path, monkeypatch: pytest.MonkeyPatch):
    wide = config.with_name("wide.toml")
    wide.write_text(config.read_text().replace("narrowest = 0.25", "narrowest = 1"))
    with run_server(wide, environment=ENVIRONMENT) as server:
        answers = crowd(server, monkeypatch)
    assert {(answer.narrowed, proposed(answer)) for answer in answers} == {(False, CANDIDATES)}
