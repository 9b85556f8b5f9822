"""The life of a server process: not ready, ready, leaving; and the ways in which it does not start."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cuvee.client import AsyncClient, Client
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from .conftest import ENVIRONMENT, PRODUCTS, fitted

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ["", "cuvee.v1.RecommendationService"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with few products, which starts soon."""
    stuck = PRODUCTS["sleeping"].replace('use = "sleeps"', 'use = "asleep", timeout = "100ms"')
    products = {"toy": PRODUCTS["toy"], "slow": PRODUCTS["slow"], "stuck": stuck}
    return fitted(tmp_path_factory.mktemp("small"), products)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One product is there at once, the other takes its time."""
    products = {
        "early": 'dataset = "toy"\nsources = [{{ use = "popular" }}]',
        "late": 'dataset = "toy"\nsources = [{{ use = "slow_load" }}]',
    }
    return fitted(tmp_path_factory.mktemp("late"), products)


@pytest.fixture
def fresh(small: Path) -> Iterator[RunningServer]:
    """A server that a test may end."""
    with run_server(small, environment=ENVIRONMENT) as running:
        yield running


def healths(client: Client, names: list[str]) -> list[int]:
    return [client.health(name).status for name in names]


def test_all_is_serving_when_it_says_that_it_is_ready(server: RunningServer):
    assert healths(server.client, [*NAMES, *PRODUCTS]) == [SERVING] * (2 + len(PRODUCTS))
    with pytest.raises(grpc.RpcError) as failure:
        server.client.health("shoes")
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    ready = server.events("ready")
    assert len(ready) == 1
    assert ready[0]["address"] == server.address
    assert ready[0]["products"] == sorted(PRODUCTS)


def test_one_thread_for_linear_algebra(server: RunningServer):
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    assert b"OPENBLAS_NUM_THREADS=1" in environment
    assert b"OMP_NUM_THREADS=1" in environment


def test_until_models_are_loaded_nothing_is_serving(late: Path):
    with (
        run_server(late, environment=ENVIRONMENT, wait_until="listening") as server,
        grpc.insecure_channel(server.address) as channel,  # without the client's retries
    ):
        assert healths(server.client, [*NAMES, "late"]) == [NOT_SERVING] * 3
        with pytest.raises(grpc.RpcError) as failure:
            rpc.RecommendationServiceStub(channel).Recommend(
                pb.RecommendRequest(product="late", user_id="u"), timeout=1
            )
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        details = rpc_status.from_call(failure.value).details
        assert error_details_pb2.ErrorInfo.FromString(details[0].value).reason == "NOT_READY"
        assert details[1].Is(error_details_pb2.RetryInfo.DESCRIPTOR)
        seen = set()
        until = time.monotonic() + 30
        while healths(server.client, [""]) != [SERVING]:
            seen.add(tuple(healths(server.client, ["early", "late"])))
            assert time.monotonic() < until
            time.sleep(0.05)
        assert (SERVING, NOT_SERVING) in seen, "each product as soon as it is ready"
        assert healths(server.client, ["early", "late"]) == [SERVING, SERVING]
        assert len(server.client.recommend("late", "viewer-001").items) == 20


async def test_sigterm_under_load_loses_nothing(fresh: RunningServer):
    results: Counter[str] = Counter()

    async with grpc.aio.insecure_channel(fresh.address) as channel:
        stub = rpc.RecommendationServiceStub(channel)
        health = health_pb2_grpc.HealthStub(channel)

        async def call(product: str, user: int) -> str:
            request = pb.RecommendRequest(product=product, user_id=f"viewer-{user % 90:03d}")
            try:
                answer = await stub.Recommend(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK" if answer.items else "EMPTY"

        async def load(start: int) -> None:
            user = start
            while "UNAVAILABLE" not in results:  # then it is time to turn to another server
                results[await call("toy", user)] += 1
                user += 1

        workers = [asyncio.ensure_future(load(10 * n)) for n in range(6)]
        await asyncio.sleep(0.5)
        watched = health.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watched.read()).status == SERVING
        asked_before = [asyncio.ensure_future(call("slow", n)) for n in range(20)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in asked_before), "they take 0.3 s"
        fresh.process.send_signal(signal.SIGTERM)
        assert (await watched.read()).status == NOT_SERVING
        assert await asyncio.gather(*asked_before) == ["OK"] * 20
        await asyncio.gather(*workers)
        await asyncio.to_thread(fresh.process.wait, 15)
    assert fresh.process.returncode == 0
    assert results["OK"] > 50
    assert set(results) <= {"OK", "UNAVAILABLE"}, results
    assert [line["event"] for line in (fresh.events("stopping"), fresh.events("stopped")) for line in line] == [
        "stopping",
        "stopped",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stuck_threads_do_not_hold_up_the_end(fresh: RunningServer, number: signal.Signals):
    fresh.client.recommend("stuck", "viewer-003")  # leaves a thread asleep for a minute
    fresh.process.send_signal(number)
    assert fresh.process.wait(30) == 0


def test_sighup_changes_no_answer(fresh: RunningServer):
    before = fresh.client.recommend("toy", "viewer-001")
    fresh.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 20
    while not (told := fresh.events("SIGHUP: read again")):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert "restart" in str(told[0]["hint"])
    assert fresh.client.recommend("toy", "viewer-001").items == before.items
    assert fresh.process.poll() is None


def test_sighup_before_it_listens_changes_nothing(small: Path, tmp_path: Path):
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(small), "--listen", "127.0.0.1:0"],
            env={**os.environ, **ENVIRONMENT},
            stderr=log,
        )
    until = time.monotonic() + 60
    try:
        # from the moment on at which it is this command and no interpreter that starts
        while not ignored(process):
            assert time.monotonic() < until
            time.sleep(0.01)
        while b'"ready"' not in (tmp_path / "log").read_bytes():
            process.send_signal(signal.SIGHUP)
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.terminate()
    assert process.wait(30) == 0


def ignored(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process ignores SIGHUP at this moment."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(found, 16) >> (signal.SIGHUP - 1) & 1)


def test_it_can_be_told_to_stop_while_it_loads(late: Path):
    with run_server(late, environment=ENVIRONMENT, wait_until="listening") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert not server.events("ready")


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(config), *options],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_port_that_is_taken_is_an_error_that_says_so(server: RunningServer, config: Path):
    ended = run(config, "--listen", server.address)
    assert ended.returncode == 2
    assert f"cannot listen on {server.address}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_can_be_shared_when_that_is_wanted(small: Path):
    with run_server(small, environment=ENVIRONMENT, options=["--reuse-port"], wait_until="listening") as first:
        port = ["--reuse-port", "--listen", first.address]
        with run_server(small, environment=ENVIRONMENT, options=port, wait_until="listening") as second:
            assert first.address == second.address


def test_nothing_fitted_is_an_error_that_says_what_to_do(tmp_path: Path, small: Path):
    (tmp_path / "var").mkdir()
    for name in ("products", "var/data"):
        (tmp_path / name).symlink_to(small.parent / name)
    (tmp_path / "cuvee.toml").write_text(small.read_text())
    ended = run(tmp_path / "cuvee.toml", "--listen", "127.0.0.1:0")
    assert ended.returncode == 2
    assert "run `cuvee fit" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_mistake_of_a_broken_config_is_shown(tmp_path: Path):
    (tmp_path / "products").mkdir()
    (tmp_path / "products/shop.toml").write_text('sources = [{ use = "nothing" }]\npage = 3\n')
    (tmp_path / "cuvee.toml").write_text('[server]\nlisten = 5\n[recommenders.a]\nplugin = "none"\n')
    ended = run(tmp_path / "cuvee.toml")
    assert ended.returncode == 2
    for path in ("server.listen", "recommenders.a.plugin", "page"):
        assert path in ended.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_by_config(small: Path, tmp_path: Path):
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    config = small.parent / "tls.toml"
    tls = f'[server.tls]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"\n'
    config.write_text(small.read_text() + tls)
    with run_server(config, environment=ENVIRONMENT) as server:
        credentials = grpc.ssl_channel_credentials((tmp_path / "cert.pem").read_bytes())
        with Client(server.address, credentials) as client:
            assert len(client.recommend("toy", "viewer-001").items) == 5
        with pytest.raises(grpc.RpcError):
            server.client.recommend("toy", "viewer-001")  # in the clear
    (tmp_path / "key.pem").write_text("no key")
    ended = run(config, "--listen", "127.0.0.1:0")
    assert ended.returncode == 2
    assert "server.tls.key: holds no private key in PEM" in ended.stderr
    (tmp_path / "key.pem").unlink()
    ended = run(config, "--listen", "127.0.0.1:0")
    assert ended.returncode == 2
    assert "server.tls.key" in ended.stderr


async def test_the_async_client_says_the_same(server: RunningServer):
    async with AsyncClient(server.address) as client:
        answer = await client.recommend("toy", "viewer-003")
        similar = await client.similar_items("toy", ["film-001"])
        ranked = await client.rank("toy", ["film-001", "film-002"], "viewer-003")
        requests = [pb.RecommendRequest(user_id=f"viewer-{n:03d}") for n in range(70)]
        found = {one.index async for one in client.batch_recommend("toy", requests)}
        health = await client.health("toy")
    assert [i.item_id for i in answer.items] == [i.item_id for i in server.client.recommend("toy", "viewer-003").items]
    assert len(similar.items) == 5
    assert len(ranked.items) == 2
    assert found == set(range(70))
    assert health.status == SERVING


def test_many_at_once_are_all_answered_in_full(server: RunningServer):
    with ThreadPoolExecutor(24) as pool:
        answers = list(
            pool.map(lambda n: server.client.recommend("toy", f"viewer-{n % 90:03d}", timeout=5), range(240))
        )
    assert not any(answer.degraded for answer in answers)
    assert all(len(answer.items) == 5 for answer in answers)
