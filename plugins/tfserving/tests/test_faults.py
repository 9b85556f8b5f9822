"""Whatever happens to the model server, Cuvée answers in time and says why the deep model is not in it.

Real processes: a Cuvée server, a model server that is killed, stopped, restarted and given a new
model, and a proxy that makes its network slow.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client
from cuvee.testing import run_server, two_tribes
from cuvee.v1 import recommendation_pb2 as pb
from cuvee_tfserving.embedded import start

HERE = Path(__file__).parent
DEADLINE = 1.0
SLACK = 0.15
"""What two shared processors and the caller's own threads may add to a deadline."""
CALLERS = 4

CUVEE = """
[recommenders.popular]
plugin = "popular"
[recommenders.deep]
plugin = "tfserving"
address = "127.0.0.1:{port}"
model_root = "{root}"
train = false
max_history = 8
[recommenders.far]
plugin = "tfserving"
address = "127.0.0.1:{far}"
model_root = "{root}"
train = false
max_history = 8
"""

PRODUCT = """
dataset = "toy"
sources = [{{ use = "{deep}", timeout = "100ms" }}, {{ use = "popular" }}]
[fallback]
chain = ["popular"]
"""


@dataclass(frozen=True)
class Call:
    at: float
    seconds: float
    code: grpc.StatusCode
    reason: str = ""
    version: str = ""
    items: int = 0


class Callers:
    """Threads that ask without pause, while the test does harm."""

    def __init__(self, address, product, deep, pause=0.0):
        self.calls = []
        self._address, self._product, self._deep, self._pause = address, product, deep, pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CALLERS)]

    def _ask(self, n):
        user = two_tribes().data.catalog.users.ids([n])[0]
        with Client(self._address) as client:
            while not self._over.wait(self._pause):
                at = time.monotonic()
                try:
                    answer = client.recommend(self._product, user, page_size=5, timeout=DEADLINE)
                except grpc.RpcError as problem:
                    self.calls.append(Call(at, time.monotonic() - at, problem.code()))
                    continue
                took = time.monotonic() - at
                source = next(s for s in answer.sources if s.source == self._deep)
                reason = pb.DegradedReason.Name(source.reason).removeprefix("DEGRADED_REASON_")
                degraded = source.status == pb.SourceStatus.STATUS_DEGRADED
                assert degraded == answer.degraded
                assert source.status != pb.SourceStatus.STATUS_NOT_SERVING_QUERY
                code = grpc.StatusCode.OK
                self.calls.append(
                    Call(at, took, code, reason if degraded else "", source.model_version, len(answer.items))
                )

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def live_after(self, moment, seconds=12.0):
        """Seconds until the first answer after a moment with the deep model in it."""
        while time.monotonic() < moment + seconds:
            live = [c.at + c.seconds for c in self.calls if c.at > moment and c.code.name == "OK" and not c.reason]
            if live:
                return min(live) - moment
            time.sleep(0.02)
        raise AssertionError(f"no answer with the deep model in {seconds} s")

    def reasons(self, since=0.0, until=1e18):
        return Counter(c.reason for c in self.calls if since <= c.at < until)


def share_in_time(calls):
    """Of all calls, those that were answered in time; each answer has a full list."""
    fine = [c for c in calls if c.code is grpc.StatusCode.OK and c.seconds <= DEADLINE + SLACK]
    assert all(c.items == 5 for c in fine)
    return len(fine) / len(calls)


@pytest.fixture(scope="module")
def world(made, publish, free_port, tmp_path_factory):
    """A model server, a slow way to it, and a Cuvée server that was fitted against both."""
    folder = tmp_path_factory.mktemp("faults")
    root = folder / "models"
    publish(made["toy"], root, 1)
    port, far = free_port(), free_port()
    (folder / "cuvee.toml").write_text(CUVEE.format(port=port, far=far, root=root))
    (folder / "products").mkdir()
    for deep in ("deep", "far"):
        (folder / f"products/{deep}.toml").write_text(PRODUCT.format(deep=deep))
    (folder / "var/data").mkdir(parents=True)
    two_tribes().data.save(folder / "var/data/toy")

    servers = []

    def serve():
        options = ["--port", str(port), "--model_base_path", str(root / "deep")]
        server = start([*options, "--file_system_poll_wait_seconds", "0.1"], 90)
        servers.append(server)
        server.wait_for("version available")
        return server

    first = serve()
    proxy = subprocess.Popen(
        [sys.executable, str(HERE / "proxy.py"), str(far), f"127.0.0.1:{port}", "200"], stdout=subprocess.PIPE
    )
    proxy.stdout.readline()
    try:
        command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml")]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        with run_server(folder / "cuvee.toml") as running:
            yield running, first, serve, root
    finally:
        for server in servers:
            server.stop()
        proxy.kill()
        proxy.communicate()


def test_every_fault_is_a_typed_reason_and_none_is_lost(world, made, publish):
    running, server, serve, root = world
    print()

    # far away: 200 ms of jitter, with 100 ms to answer in
    with Callers(running.address, "far", "far", pause=0.02) as jitter:
        time.sleep(2.0)
    print(f"jitter: {dict(jitter.reasons())}, {share_in_time(jitter.calls):.2%} in time")
    assert jitter.reasons()["TIMEOUT"]
    assert set(jitter.reasons()) <= {"", "TIMEOUT", "CIRCUIT_OPEN"}

    with Callers(running.address, "deep", "deep", pause=0.002) as callers:
        callers.live_after(time.monotonic())
        time.sleep(0.5)

        # killed in mid-call: refused as soon as the kernel has closed its sockets, and left alone after five failures
        killed = time.monotonic()
        server.kill()
        time.sleep(1.0)
        failed = callers.reasons(killed)
        assert failed["UNAVAILABLE"]
        assert set(failed) <= {"", "UNAVAILABLE", "TIMEOUT", "CIRCUIT_OPEN"}, failed
        unavailable = sorted(c.at for c in callers.calls if c.reason in {"UNAVAILABLE", "TIMEOUT"})
        opened = min(c.at for c in callers.calls if c.reason == "CIRCUIT_OPEN")
        print(
            f"killed: {dict(failed)}, circuit open after {len([u for u in unavailable if u < opened])} failed answers"
        )
        # a failed batch may hold the calls of all who ask at once
        assert len([u for u in unavailable if u < opened]) <= 5 * CALLERS

        # restarted
        again = serve()
        recovered = callers.live_after(time.monotonic())
        print(f"restarted: in the blend again after {recovered:.1f} s")
        assert recovered <= 5.0 + SLACK

        # hanging: connections stay, nothing comes
        hung = time.monotonic()
        again.pause()
        time.sleep(1.5)
        again.resume()
        went_on = time.monotonic()
        recovered = callers.live_after(went_on)
        hanging = callers.reasons(hung + 0.05, went_on)
        print(f"hanging: {dict(hanging)}; in the blend again after {recovered:.1f} s")
        assert hanging["TIMEOUT"]
        assert hanging["CIRCUIT_OPEN"]
        assert set(hanging) <= {"", "TIMEOUT", "CIRCUIT_OPEN", "OVERLOADED"}
        assert recovered <= 5.0 + SLACK
        time.sleep(0.3)

        # a new version under load
        swap = time.monotonic()
        publish(made["toy"], root, 2)
        again.wait_for("version unloaded", version=1)
        time.sleep(0.5)
        swapped = [c for c in callers.calls if c.at > swap]
        print(f"swapped: {len(swapped)} calls, versions {dict(Counter(c.version for c in swapped))}")
        assert callers.reasons(swap) == {"": len(swapped)}
        assert swapped[-1].version == "2"
        assert {c.version for c in swapped} == {"1", "2"}
    calls = jitter.calls + callers.calls
    share, longest = share_in_time(calls), max(c.seconds for c in calls)
    print(f"{len(calls)} calls, {share:.2%} OK within {DEADLINE} s, the longest {longest * 1e3:.0f} ms")
    assert len(calls) > 1000
    assert share >= 0.999, Counter(c.code for c in calls)


def test_the_server_holds_no_tensorflow(world):
    running, *_ = world
    process = Path(f"/proc/{running.process.pid}")
    assert "libtensorflow" not in (process / "maps").read_text()
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    print(f"\nserver with the deep model: {int(resident.split()[1]) / 1024:.0f} MiB resident")
