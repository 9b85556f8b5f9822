"""Connections that ask for nothing, for too much, or never read an answer do no harm to those who ask beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from reliability.crowding import KINDS, p99
from reliability.place import ENVIRONMENT
from reliability.vitals import Vitals, settled

CALLS = 60
GROWTH = 100
"""MiB that a thousand answers which nobody takes in may keep."""
MORE = 16
"""Threads of pools that are bounded, and their connections to the store. A crowd has fifty connections at least."""


@pytest.fixture(scope="module")
def server(ruled: Path) -> Iterator[RunningServer]:
    with run_server(ruled, environment=ENVIRONMENT) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_callers_are_served_beside_a_crowd(server: RunningServer, viewers: list[str], kind: str):
    alone = p99(server.address, "blended", viewers, CALLS)
    before = Vitals.of(server.process.pid)
    with KINDS[kind](server.address, "blended"):
        beside = p99(server.address, "blended", viewers, CALLS)
        held = Vitals.of(server.process.pid)
    print(f"\n{kind}: p99 {1e3 * beside:.1f} ms, alone {1e3 * alone:.1f} ms; {before}; {held}")
    assert beside < 2 * alone + 0.25
    assert held.rss - before.rss < GROWTH
    after = settled(server.process.pid, before.descriptors + MORE, before.threads + MORE)
    assert after.descriptors <= before.descriptors + MORE, "what was held is let go"
    assert after.threads <= before.threads + MORE
    assert server.client.recommend("blended", viewers[0], timeout=10).items
