"""Workers and whole servers come and go under load, and callers who follow the client's policy hardly notice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from reliability.callers import Callers, workers
from reliability.place import ENVIRONMENT

SECONDS = 4.0
"""Of load after a worker is lost; a stopped one is found after a second and a half."""


@pytest.fixture(scope="module")
def two(ruled: Path) -> Iterator[RunningServer]:
    with run_server(ruled, environment=ENVIRONMENT, options=["--workers", "2"], wait_until="workers ready") as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_worker_costs_hardly_a_call(two: RunningServer, viewers: list[str], number: signal.Signals):
    before = len(two.events("worker ready"))
    with Callers(two.address, ["blended"], viewers, callers=8, timeout=2.0, pause=0.01) as callers:
        callers.first(lambda call: call.code == "OK", 0.0)
        time.sleep(0.5)
        lost = time.monotonic()
        victim = workers(two)[0]
        os.kill(victim, number)
        time.sleep(SECONDS)
    after = callers.since(lost)
    print(f"\n{number.name}: {callers.summary(lost)}")
    assert sum(call.code != "OK" for call in after) <= max(0.01 * len(after), 1), callers.summary(lost)
    assert victim not in workers(two)
    until = time.monotonic() + 30
    while len(two.events("worker ready")) == before:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert len(workers(two)) == 2


def test_a_rolling_restart_fails_no_request(ruled: Path, viewers: list[str]):
    """Two servers on one port; each in turn is told to stop, and another takes its place."""
    options = ["--reuse-port"]
    with ExitStack() as open_:

        def another(*more: str) -> RunningServer:
            return open_.enter_context(run_server(ruled, environment=ENVIRONMENT, options=[*options, *more]))

        first = another()
        options += ["--listen", first.address]
        old = [first, another()]
        with Callers(first.address, ["blended"], viewers, callers=6, timeout=2.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            began = time.monotonic()
            for server in old:
                another()
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(30) == 0
            time.sleep(1.0)
        found = callers.summary(began)
        print(f"\nrolling restart: {found}")
        assert found.ok == 1.0, found
        assert found.calls > 100
