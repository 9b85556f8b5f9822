"""Whatever happens to the other process, lists are answered, full, and say why; then it is back by itself.

Real processes: a Cuvée server under load, and a remote recommender that is killed, stopped and answers amiss.
"""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client
from cuvee.testing import run_server, two_tribes
from cuvee.v1 import recommendation_pb2 as pb

from .conftest import Process, free_address

pytest.importorskip("cuvee_popular")

HERE = Path(__file__).parent
CALLERS = 2
SETTINGS = """
[recommenders.popular]
plugin = "popular"
[recommenders.there]
plugin = "remote"
address = "{address}"
"""
PRODUCT = """
dataset = "toy"
sources = [{ use = "there", timeout = "2s" }, { use = "popular" }]
[blend.weights]
cold = { there = 0.5, popular = 0.5 }
[fallback]
chain = ["popular"]
"""


@dataclass(frozen=True)
class Call:
    at: float
    seconds: float
    code: grpc.StatusCode
    reason: str = ""
    items: int = 0


class Callers:
    """Threads that ask without pause."""

    def __init__(self, address):
        self.calls = []
        self._address = address
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CALLERS)]

    def _ask(self, n):
        user = two_tribes().data.catalog.users.ids([n])[0]
        with Client(self._address) as client:
            while not self._over.wait(0.02):
                at = time.monotonic()
                try:
                    answer = client.recommend("toy", user, page_size=5, timeout=20)
                except grpc.RpcError as problem:
                    self.calls.append(Call(at, time.monotonic() - at, problem.code()))
                    continue
                source = next(s for s in answer.sources if s.source == "there")
                degraded = source.status == pb.SourceStatus.STATUS_DEGRADED
                assert degraded == answer.degraded
                reason = pb.DegradedReason.Name(source.reason).removeprefix("DEGRADED_REASON_") if degraded else ""
                self.calls.append(Call(at, time.monotonic() - at, grpc.StatusCode.OK, reason, len(answer.items)))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def first(self, reasons, since, seconds=60.0):
        """The first answer, of requests after a moment, with one of these reasons ("": it took part)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for call in list(self.calls):
                if call.at > since and call.code is grpc.StatusCode.OK and call.reason in reasons:
                    return call
            time.sleep(0.02)
        raise AssertionError(f"no answer with {reasons} in {seconds} s: {self.reasons(since)}")

    def reasons(self, since=0.0):
        return Counter(c.reason for c in self.calls if c.at >= since)


@dataclass
class World:
    server: object
    remote: Process
    trouble: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote-faults")
    trouble = folder / "trouble"
    trouble.write_text("")
    options = ["remote-server", "spoilt:Spoilt", "--folder", folder / "models", "--listen", "ADDRESS"]
    environment = {"PYTHONPATH": str(HERE), "TROUBLE": str(trouble)}
    remote = Process([sys.executable, "-m", "cuvee.cli", *options], free_address(), environment)
    try:
        (folder / "products").mkdir()
        (folder / "products/toy.toml").write_text(PRODUCT)
        (folder / "cuvee.toml").write_text(SETTINGS.format(address=remote.address))
        (folder / "var/data").mkdir(parents=True)
        two_tribes().data.save(folder / "var/data/toy")
        command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml")]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        with run_server(folder / "cuvee.toml") as server:
            yield World(server, remote, trouble)
    finally:
        remote.end()


@pytest.fixture
def ask(world):
    """Callers, none of whose calls may fail; with the remote in the blend at the beginning and at the end."""

    @contextmanager
    def asking(*allowed):
        with Callers(world.server.address) as callers:
            callers.first({""}, 0.0)
            began = time.monotonic()
            yield callers
            mended = time.monotonic()
            back = callers.first({""}, mended)
        told = callers.reasons(began)
        print(f"\n{dict(told)}; in the blend again after {back.at + back.seconds - mended:.1f} s")
        assert Counter(call.code for call in callers.calls) == {grpc.StatusCode.OK: len(callers.calls)}
        assert {call.items for call in callers.calls} == {5}
        assert set(told) <= {"", "CIRCUIT_OPEN", *allowed}

    return asking


def test_killed(world, ask):
    with ask("UNAVAILABLE", "TIMEOUT") as callers:
        killed = time.monotonic()
        world.remote.signal(signal.SIGKILL)
        callers.first({"UNAVAILABLE"}, killed)
        callers.first({"CIRCUIT_OPEN"}, killed)
        world.remote.end()
        world.remote.start()


def test_hung(world, ask):
    with ask("TIMEOUT", "OVERLOADED", "UNAVAILABLE") as callers:
        hung = time.monotonic()
        world.remote.signal(signal.SIGSTOP)
        try:
            callers.first({"TIMEOUT"}, hung)
            callers.first({"CIRCUIT_OPEN"}, hung)
        finally:
            world.remote.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("raise", "ERROR"),
        ("ten times", "INVALID_OUTPUT"),
        ("type", "INVALID_OUTPUT"),
        ("nan", "EMPTY"),
    ],
)
def test_answers_amiss(world, ask, trouble, reason):
    with ask(reason, "TIMEOUT") as callers:
        spoilt = time.monotonic()
        world.trouble.write_text(trouble)
        try:
            callers.first({reason}, spoilt)
        finally:
            world.trouble.write_text("")
