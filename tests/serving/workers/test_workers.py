"""``cuvee serve --workers N`` as processes: they share a port, one may die, and they end together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from cuvee.client import Client, policy
from cuvee.testing import RunningServer, run_server
from grpc_health.v1 import health_pb2
from reliability.callers import Callers, apart, workers

from ..conftest import ENVIRONMENT, PRODUCTS, fitted

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(autouse=True)
def each_client_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "OPTIONS", [*policy.OPTIONS])
    apart()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("few"), {"toy": PRODUCTS["toy"], "slow": PRODUCTS["slow"]})


@pytest.fixture(scope="module")
def two(few: Path) -> Iterator[RunningServer]:
    """Two workers, of which tests may kill one."""
    with pair(few) as running:
        yield running


@pytest.fixture
def fresh(few: Path) -> Iterator[RunningServer]:
    """Two workers that a test may end."""
    with pair(few) as running:
        yield running


def pair(config: Path, *options: str) -> AbstractContextManager[RunningServer]:
    return run_server(config, environment=ENVIRONMENT, options=["--workers", "2", *options], wait_until="workers ready")


def connections(pid: int, address: str) -> int:
    """How many callers a process has on its port."""
    port = int(address.rpartition(":")[2])
    established = {
        fields[9]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port
    }
    held = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", str(file.readlink()))
        except FileNotFoundError:
            continue
        held += bool(found and found[1] in established)
    return held


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.05)


def test_all_of_them_answer(two: RunningServer):
    with ExitStack() as open_:
        clients = [open_.enter_context(Client(two.address)) for n in range(32)]
        for client in clients:
            assert len(client.recommend("toy", "viewer-001").items) == 5
            assert client.health().status == SERVING
        shares = [connections(pid, two.address) for pid in workers(two)]
        assert len(shares) == 2
        assert min(shares) > 0
        assert sum(shares) >= 32
        for client in clients:  # Polars has threads that a process which was forked must start for itself
            assert client.recommend("toy", "viewer-001", filter="year >= 1960").items
    ready = two.events("ready")
    assert {line["worker"] for line in ready} == {1, 2}
    assert {line["address"] for line in ready} == {two.address}


def test_a_killed_worker_costs_no_more_than_what_was_in_flight(two: RunningServer):
    ready, ended = len(two.events("worker ready")), len(two.events("worker ended, and is replaced"))
    viewers = [f"viewer-{n:03d}" for n in range(90)]
    with Callers(two.address, ["toy"], viewers, callers=8, timeout=5.0) as callers:

        def answered() -> int:
            return sum(call.code == "OK" for call in list(callers.calls))

        until(lambda: answered() > 50)
        for more in (1, 2):
            os.kill(workers(two)[0], signal.SIGKILL)
            until(lambda more=more: len(two.events("worker ready")) == ready + more)
            before = answered()
            until(lambda before=before: answered() > before + 50)
    found = callers.summary()
    assert set(found.codes) <= {"OK", "UNAVAILABLE"}, found
    assert found.codes["UNAVAILABLE"] <= 2 * 8, found
    assert all(call.items == 5 for call in callers.calls if call.code == "OK")
    assert [line["how"] for line in two.events("worker ended, and is replaced")[ended:]] == ["SIGKILL"] * 2
    assert len(workers(two)) == 2


def test_a_hung_worker_is_replaced(two: RunningServer):
    hung, ready = workers(two)[0], len(two.events("worker ready"))
    os.kill(hung, signal.SIGSTOP)
    until(lambda: len(two.events("worker ready")) == ready + 1)
    (line,) = two.events("worker hangs, and is killed")
    assert line["pid"] == hung
    assert hung not in workers(two)
    assert len(two.client.recommend("toy", "viewer-001", timeout=5).items) == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_they_end_together_and_finish_what_was_begun(fresh: RunningServer, number: signal.Signals):
    pids = workers(fresh)
    answers: list[int] = []

    def ask(client: Client) -> None:
        answers.append(len(client.recommend("slow", "viewer-001", timeout=5).items))

    with ExitStack() as open_:
        clients = [open_.enter_context(Client(fresh.address)) for n in range(8)]
        for client in clients:
            client.health()
        asking = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in asking:
            thread.start()
        time.sleep(0.1)
        fresh.process.send_signal(number)
        for thread in asking:
            thread.join()
    assert fresh.process.wait(30) == 0
    assert answers == [20] * 8
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert [line["event"] for line in fresh.events("stopped")] == ["stopped"] * 3


def test_without_their_supervisor_they_end(fresh: RunningServer):
    pids = workers(fresh)
    fresh.process.kill()
    fresh.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_hangup_ends_nobody(few: Path, two: RunningServer):
    with run_server(few, environment=ENVIRONMENT) as one:
        for server in (one, two):
            server.process.send_signal(signal.SIGHUP)
            said = 1 + len(workers(server))
            until(lambda server=server, said=said: len(server.events("SIGHUP: read again")) == said)
            assert len(server.client.recommend("toy", "viewer-001").items) == 5
        assert not workers(one), "one worker is the process itself"
    for pid in workers(two):
        os.kill(pid, signal.SIGHUP)
    until(lambda: len(two.events("SIGHUP: read again")) == 5)
    assert len(workers(two)) == 2


def test_a_supervisor_has_no_threads_but_those_that_polars_starts_so_that_it_may_fork(two: RunningServer):
    pid = two.process.pid
    names = [
        (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)
    ]
    assert {name for name in names if not name.startswith(("jemalloc", "polars-ooc"))} == set()


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(config), *options],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_cannot_start_says_why_once(tmp_path: Path, few: Path, two: RunningServer):
    taken = run(few, "--workers", "2", "--listen", two.address)
    assert taken.returncode == 2
    assert f"cannot listen on {two.address}" in taken.stderr
    (tmp_path / "var").mkdir()
    for name in ("products", "var/data"):
        (tmp_path / name).symlink_to(few.parent / name)
    (tmp_path / "cuvee.toml").write_text(few.read_text())
    nothing = run(tmp_path / "cuvee.toml", "--workers", "3", "--listen", "127.0.0.1:0")
    assert nothing.returncode == 2
    assert nothing.stderr.count("run `cuvee fit") == 1
    for ended in (taken, nothing):
        assert "Traceback" not in ended.stderr


def test_supervisors_may_share_a_port_where_both_want_to(few: Path):
    with pair(few, "--reuse-port") as first, pair(few, "--reuse-port", "--listen", first.address) as second:
        assert second.address == first.address
