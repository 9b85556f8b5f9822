"""Whatever happens on the way to PostgreSQL, lists come in time, say what they lack, and are whole again soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.testing.network import Fault, TcpProxy
from cuvee.testing.postgres import Postgres
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import events_pb2
from reliability.callers import Call, Callers
from reliability.place import ENVIRONMENT

from ..conftest import with_tables

SLACK = 0.5
"""Seconds that a busy machine may add to a deadline; docs/reliability.md has what it was on a quiet one."""


@pytest.fixture(scope="module")
def proxy(postgres: Postgres) -> Iterator[TcpProxy]:
    with TcpProxy(f"127.0.0.1:{postgres.port}") as running:
        yield running


@pytest.fixture(scope="module")
def server(ruled: Path, postgres: Postgres, proxy: TcpProxy) -> Iterator[RunningServer]:
    url = with_tables(postgres.url, "network").replace(f":{postgres.port}/", f":{proxy.port}/")
    assert str(proxy.port) in url
    config = ruled.with_name("network.toml")
    config.write_text(ruled.read_text() + f'\n[store]\nurl = "{url}"\ntimeout = "1s"\n')
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


def written(server: RunningServer, name: str) -> grpc.StatusCode:
    kind = events_pb2.EVENT_TYPE_VIEW
    event = events_pb2.Event(product="blended", user_id="wired", item_id="film-001", type=kind, event_id=name)
    try:
        server.client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=4)
    except grpc.RpcError as problem:
        return problem.code()
    return grpc.StatusCode.OK


def from_the_store(call: Call) -> bool:
    return call.code == "OK" and "store" not in {source for source, _ in call.degraded}


@pytest.mark.parametrize("what", ["refused", "hanging", "slow", "half-open", "dropped"])
def test_lists_go_on_and_are_whole_again(server: RunningServer, proxy: TcpProxy, viewers: list[str], what: Fault):
    with Callers(server.address, ["blended"], viewers, callers=4, timeout=1.0, pause=0.01) as callers:
        whole = callers.first(from_the_store, 0.0)
        assert whole.items == 5
        began = time.monotonic()
        with proxy.fault(what):
            callers.first(lambda call: bool(call.degraded), began)
            refused = written(server, f"during-{what}")
            time.sleep(1.5)
        healed = time.monotonic()
        back = callers.first(from_the_store, healed)
        recovered = back.at + back.seconds - healed
        until = time.monotonic() + 10
        while written(server, f"after-{what}") is not grpc.StatusCode.OK:
            assert time.monotonic() < until
            time.sleep(0.1)
    found = callers.summary(began)
    print(f"\n{what}: whole again after {recovered:.1f} s; {found}")
    assert found.ok >= 0.999, found
    assert found.longest <= callers.deadline + SLACK
    # a busy machine may be too late for the plugin that loads histories
    assert {source for call in callers.since(began) for source, _ in call.degraded} <= {"store", "load_history"}
    assert all(call.items == 5 for call in callers.since(began) if call.code == "OK")
    assert recovered <= 5.0 + SLACK
    assert refused in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK}
    assert "internal error" not in server.log
