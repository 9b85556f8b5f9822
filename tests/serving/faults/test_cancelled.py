"""Calls of every kind that are given up at any moment end, and the server goes on."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from cuvee.testing.server import run_server
from reliability.cancelling import cancelled
from reliability.place import ENVIRONMENT
from reliability.vitals import Vitals, settled

MORE = 16
"""Threads of pools that are bounded and grow with what is asked at the same time, and descriptors: those that call the
store have a connection each. What each call left behind would be hundreds."""


def test_cancelled_calls_of_every_kind_leave_nothing(ruled: Path, viewers: list[str]):
    with run_server(ruled, environment=ENVIRONMENT) as server:
        pid = server.process.pid
        cancelled(server.address, "blended", viewers, 300, random.Random(1))
        assert server.client.recommend("blended", viewers[0], timeout=20).items
        before = Vitals.of(pid)
        codes = cancelled(server.address, "blended", viewers, 600, random.Random(2))
        assert codes["INTERNAL"] == codes["UNKNOWN"] == 0, codes
        assert server.process.poll() is None
        assert server.client.recommend("blended", viewers[0], timeout=20).items
        after = settled(pid, before.descriptors + MORE, before.threads + MORE)
        assert after.descriptors <= before.descriptors + MORE
        assert after.threads <= before.threads + MORE
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.events("stopping")[0]["in_flight"] == 0
        assert "internal error" not in server.log
        assert "ExecuteBatchError" not in server.log, "gRPC is told nothing of calls that are over"
