"""Whatever happens to the model server, Cuvée answers in time and says why the deep model took no part.

Real processes: a Cuvée server, a model server that is killed, stopped, restarted and given a new
model, and a proxy that makes its network slow.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client
from cuvee.testing import run_server, two_tribes
from cuvee.testing.network import TcpProxy
from cuvee.v1 import recommendation_pb2 as pb
from cuvee_tfserving.fitting.embedded import start

HERE = Path(__file__).parent
DEADLINE = 1.0
SLACK = 0.15
"""Seconds by which an answer may be late on two shared processors, with the test's own threads beside it."""
CALLERS = 4

SPOILT = ("shape", "nan", "gone")
"""Models that go bad while they are served."""
MODELS = ("deep", *SPOILT)

INSTANCE = """
[recommenders.{name}]
plugin = "tfserving"
address = "127.0.0.1:{port}"
model = "{model}"
model_root = "models"
train = false
max_history = 8
{more}
"""

PRODUCT = """
dataset = "toy"
sources = [{{ use = "{name}", timeout = "{timeout}" }}, {{ use = "popular" }}]
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
    """Threads that send requests without pause while the test causes failures."""

    def __init__(self, address, product, deep, pause=0.0, callers=CALLERS, timeout=DEADLINE):
        self.calls = []
        self._address, self._product, self._deep, self._pause = address, product, deep, pause
        self._timeout = timeout
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(callers)]

    def _ask(self, n):
        user = two_tribes().data.catalog.users.ids([n])[0]
        with Client(self._address) as client:
            while not self._over.wait(self._pause):
                at = time.monotonic()
                try:
                    answer = client.recommend(self._product, user, page_size=5, timeout=self._timeout)
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

    def first(self, reason, since, seconds=15.0):
        """The first answer, of requests after a moment, with this reason ("": the deep model took part)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for call in list(self.calls):
                if call.at > since and call.code is grpc.StatusCode.OK and call.reason == reason:
                    return call
            time.sleep(0.02)
        raise AssertionError(f"no answer with {reason or 'the deep model'!r} in {seconds} s: {self.reasons(since)}")

    def live_after(self, moment):
        """Seconds until the first answer after a moment with the deep model in it."""
        call = self.first("", moment)
        return call.at + call.seconds - moment

    def reasons(self, since=0.0, until=1e18):
        return Counter(c.reason for c in self.calls if since <= c.at < until)


def share_in_time(calls):
    """Of all calls, those that were answered in time; each answer has a full list."""
    fine = [c for c in calls if c.code is grpc.StatusCode.OK and c.seconds <= DEADLINE + SLACK]
    assert all(c.items == 5 for c in fine)
    return len(fine) / len(calls)


@dataclass
class World:
    """A Cuvée server, the model server behind it, and all calls that were made."""

    running: object
    server: object
    serve: object
    """Starts the model server again."""
    root: Path
    calls: list
    hold: object
    """Hold each request to the model server of the product "slow" by so many milliseconds."""
    wire: TcpProxy
    """The way from the product "wired" to the model server."""


@pytest.fixture(scope="module")
def world(made, publish, free_port, cuvee_command, tmp_path_factory):
    """A model server, a slow way to it, and a Cuvée server that was fitted against both."""
    folder = tmp_path_factory.mktemp("faults")
    root = folder / "models"
    for model in MODELS:
        publish(made["toy"], root, 1, model)
    port, far, slow = free_port(), free_port(), free_port()
    wire = TcpProxy(f"127.0.0.1:{port}")
    timeouts = {"deep": "300ms", "far": "100ms", "slow": "900ms", "wired": "300ms", **dict.fromkeys(SPOILT, "300ms")}
    elsewhere = {"far": far, "slow": slow, "wired": wire.port}
    instances = ['[recommenders.popular]\nplugin = "popular"']
    (folder / "products").mkdir()
    for name, timeout in timeouts.items():
        more = "version = 1" if name == "gone" else ""
        model, where = ("deep", elsewhere[name]) if name in elsewhere else (name, port)
        instances.append(INSTANCE.format(name=name, model=model, port=where, more=more))
        (folder / f"products/{name}.toml").write_text(PRODUCT.format(name=name, timeout=timeout))
    (folder / "cuvee.toml").write_text("\n".join(instances))
    (folder / "var/data").mkdir(parents=True)
    two_tribes().data.save(folder / "var/data/toy")
    models = [f'config {{ name: "{m}" base_path: "{root / m}" model_platform: "tensorflow" }}' for m in MODELS]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(models)} }}")

    servers = []

    def serve():
        options = ["--port", str(port), "--model_config_file", str(folder / "models.config")]
        server = start([*options, "--file_system_poll_wait_seconds", "0.1"], 90)
        servers.append(server)
        for model in MODELS:
            server.wait_for("version available", model=model)
        return server

    first = serve()
    proxies = []
    for listens, jitter in ((far, "200"), (slow, "0")):
        command = [sys.executable, str(HERE / "proxy.py"), str(listens), f"127.0.0.1:{port}", jitter]
        proxies.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1))
        proxies[-1].stdout.readline()
    try:
        cuvee_command("fit", "--config", folder / "cuvee.toml")
        with run_server(folder / "cuvee.toml") as running:
            yield World(running, first, serve, root, [], lambda ms: proxies[1].stdin.write(f"{ms}\n"), wire)
    finally:
        for server in servers:
            server.stop()
        wire.close()
        for proxy in proxies:
            proxy.kill()
            proxy.communicate()


@pytest.fixture
def ask_for(world):
    """Callers of a product, whose calls count in the end."""

    @contextmanager
    def ask(product, callers=CALLERS, pause=0.002, before=("",)):
        with Callers(world.running.address, product, product, pause, callers) as asking:
            for reason in before:
                asking.first(reason, 0.0)
            yield asking
        world.calls += asking.calls

    return ask


def test_jitter(ask_for):
    """A model server that takes 200 ms, and requests with a deadline of 100 ms."""
    with ask_for("far", pause=0.02, before=["TIMEOUT"]) as callers:
        time.sleep(2.0)
    print(f"\njitter: {dict(callers.reasons())}")
    assert set(callers.reasons()) <= {"", "TIMEOUT", "CIRCUIT_OPEN"}


def test_a_model_server_that_becomes_slow_is_not_waited_for(world, ask_for):
    """It answers, but after 400 ms: late, though neither a failure nor beyond the source's own timeout."""
    with ask_for("slow", callers=1) as callers:
        time.sleep(1.0)  # what is usual is learnt
        slowed = time.monotonic()
        world.hold(400)
        opened = callers.first("CIRCUIT_OPEN", slowed)
        time.sleep(3.0)
        later = sorted(c.seconds for c in callers.calls if c.at >= opened.at)
        assert set(callers.reasons(opened.at)) == {"CIRCUIT_OPEN"}
        # the first of them may have been on its way when the model server became slow
        earlier = sorted((c for c in callers.calls if c.at < opened.at), key=lambda c: c.at, reverse=True)
        before = list(takewhile(lambda c: c.reason, earlier))
        print(f"\nslow: {len(before)} lists waited, then {len(later)} took p99 {later[int(0.99 * len(later))]:.3f} s")
        assert {c.reason for c in before} == {"TIMEOUT"}
        assert len(before) == 5
        assert later[int(0.99 * len(later))] < 0.2, "probes are made in the background"
        world.hold(0)
        recovered = callers.live_after(time.monotonic())
    print(f"quick again: in the blend after {recovered:.1f} s")
    assert recovered <= 5.0 + SLACK


@pytest.mark.parametrize("what", ["refused", "hanging", "slow", "half-open", "dropped"])
def test_on_the_way(world, ask_for, what):
    with ask_for("wired") as callers:
        began = time.monotonic()
        with world.wire.fault(what):
            callers.first("CIRCUIT_OPEN", began)
        recovered = callers.live_after(time.monotonic())
    told = callers.reasons(began)
    print(f"\n{what}: {dict(told)}; in the blend again after {recovered:.1f} s")
    assert set(told) <= {"", "TIMEOUT", "UNAVAILABLE", "CIRCUIT_OPEN", "OVERLOADED"}
    assert recovered <= 5.0 + SLACK


def test_killed_in_mid_call_and_restarted(world, ask_for):
    with ask_for("deep") as callers:
        killed = time.monotonic()
        world.server.kill()
        opened = callers.first("CIRCUIT_OPEN", killed)
        failed = callers.reasons(killed)
        assert failed["UNAVAILABLE"]
        assert set(failed) <= {"", "UNAVAILABLE", "TIMEOUT", "CIRCUIT_OPEN"}
        # five runs that failed open the circuit; a run holds the calls of all who ask at once
        before = [c for c in callers.calls if c.reason in {"UNAVAILABLE", "TIMEOUT"} and c.at < opened.at]
        print(f"\nkilled: {dict(failed)}, {len(before)} answers of {CALLERS} callers before the circuit was open")
        assert len(before) <= 5 * CALLERS
        world.server = world.serve()
        recovered = callers.live_after(time.monotonic())
        print(f"restarted: in the blend again after {recovered:.1f} s")
        assert recovered <= 5.0 + SLACK


def test_the_circuit_opens_with_the_fifth_failure_in_a_row(world, ask_for):
    """One caller, so that each answer is a run of its own."""
    with ask_for("deep", callers=1) as callers:
        killed = time.monotonic()
        world.server.kill()
        callers.first("CIRCUIT_OPEN", killed)
        world.server = world.serve()
        callers.live_after(time.monotonic())
    reasons = [c.reason for c in callers.calls]
    failed = reasons[: reasons.index("CIRCUIT_OPEN")]
    assert failed[-6] == ""
    assert set(failed[-5:]) <= {"UNAVAILABLE", "TIMEOUT"}


def test_hanging(world, ask_for):
    """The model server hangs: connections stay open, and nothing is answered."""
    with ask_for("deep") as callers:
        hung = time.monotonic()
        world.server.pause()
        try:
            callers.first("CIRCUIT_OPEN", hung)
        finally:
            world.server.resume()
        recovered = callers.live_after(time.monotonic())
    hanging = callers.reasons(hung)
    print(f"\nhanging: {dict(hanging)}; in the blend again after {recovered:.1f} s")
    assert hanging["TIMEOUT"]
    assert set(hanging) <= {"", "TIMEOUT", "CIRCUIT_OPEN", "OVERLOADED"}
    assert recovered <= 5.0 + SLACK


def test_a_new_version_under_load(world, ask_for, made, publish):
    with ask_for("deep") as callers:
        swap = time.monotonic()
        publish(made["toy"], world.root, 2)
        world.server.wait_for("version unloaded", model="deep", version=1)
        unloaded = time.monotonic()
        assert callers.first("", unloaded).version == "2"
    swapped = [c for c in callers.calls if c.at > swap]
    print(f"\nswapped: {len(swapped)} calls, versions {dict(Counter(c.version for c in swapped))}")
    assert {c.code for c in swapped} == {grpc.StatusCode.OK}
    assert callers.reasons(swap)[""] >= 0.999 * len(swapped), "the deep model was in the blend throughout"
    assert {c.version for c in swapped if not c.reason} == {"1", "2"}


@pytest.mark.parametrize(
    ("product", "version", "reason"),
    [("shape", "toy_shape", "INVALID_OUTPUT"), ("nan", "toy_nan", "INVALID_OUTPUT"), ("gone", "toy", "ERROR")],
)
def test_a_version_that_answers_amiss(world, ask_for, made, publish, product, version, reason):
    """Wrong shape, NaN; and version 1, which is asked for by number, is not served any more."""
    with ask_for(product) as callers:
        publish(made[version], world.root, 2, product)
        world.server.wait_for("version unloaded", model=product, version=1)
        unloaded = time.monotonic()
        callers.first("CIRCUIT_OPEN", unloaded)
        # the circuit is open, and its first probe finds the same: the reason is told again
        callers.first(reason, callers.first("CIRCUIT_OPEN", unloaded).at)
        time.sleep(0.3)
    later = callers.reasons(unloaded)
    print(f"\n{product}: {dict(later)}")
    assert set(later) == {reason, "CIRCUIT_OPEN"}


def test_none_is_lost(world):
    """Of all calls above: answered, in time, with a full list."""
    assert len(world.calls) > 1000, "this test counts the calls of those before it; run the whole file"
    share, longest = share_in_time(world.calls), max(c.seconds for c in world.calls)
    print(f"\n{len(world.calls)} calls, {share:.2%} OK within {DEADLINE} s, the longest {longest * 1e3:.0f} ms")
    assert share >= 0.999, Counter(c.code for c in world.calls)


def test_the_server_holds_no_tensorflow(world):
    process = Path(f"/proc/{world.running.process.pid}")
    assert "libtensorflow" not in (process / "maps").read_text()
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    print(f"\nserver with the deep model: {int(resident.split()[1]) / 1024:.0f} MiB resident")
