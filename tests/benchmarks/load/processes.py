"""The processes that are measured, each on cores of its own: echo, Cuvée's server, the model server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from cuvee.testing import run_server
from cuvee.testing.server import RunningServer
from cuvee_tfserving.protos import GetModelStatusRequest, ModelServiceStub, ModelVersionStatus

from load.products import ROOT, Fitted

__all__ = ["CORES", "Cores", "Memory", "echo", "environment", "memory_of", "pinned", "serving"]

PATIENCE = 120.0


@dataclass(frozen=True)
class Cores:
    """Which cores the server has, and which its callers and the model server; the same one where there is one."""

    server: frozenset[int]
    callers: frozenset[int]
    all: frozenset[int]

    @classmethod
    def here(cls) -> Cores:
        """What this process may use, split."""
        mine = sorted(os.sched_getaffinity(0))
        return cls(frozenset(mine[:1]), frozenset(mine[1:] or mine), frozenset(mine))


CORES = Cores.here()


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Processes that are started inside inherit these cores, from their first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment() -> dict[str, str]:
    """Of every process that is started here: one BLAS thread, and the benchmark's own modules."""
    own = str(ROOT / "tests" / "benchmarks")
    return {**os.environ, "PYTHONPATH": own, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def echo(size: int, kind: str = "aio", cores: frozenset[int] = CORES.server) -> Iterator[str]:
    """The echo server's address."""
    command = [sys.executable, "-m", "load.echo", str(size), kind]
    with pinned(cores):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(
    product: Fitted,
    *,
    cores: frozenset[int] = CORES.server,
    options: Sequence[str] = (),
    until: str = "ready",
    seconds: float = 300.0,
) -> Iterator[RunningServer]:
    """Cuvée's server, ready, and the model server on the callers' cores where the product has a deep model."""
    port = _free_port()
    settings = {**product.settings, "CUVEE_MODEL_SERVER": f"127.0.0.1:{port}", "OPENBLAS_NUM_THREADS": "1"}
    with ExitStack() as running:
        running.enter_context(_model_server(product, port, settings))
        with pinned(cores):
            server = running.enter_context(
                run_server(product.config, environment=settings, options=options, wait_until=until, seconds=seconds)
            )
        yield server


@contextmanager
def _model_server(product: Fitted, port: int, settings: Mapping[str, str]) -> Iterator[None]:
    if not product.deep:
        yield
        return
    command = [sys.executable, "-m", "cuvee.cli", "model-server", "--port", str(port)]
    command += ["--model-base-path", str(product.folder / "models" / "deep")]
    log = (product.folder / "model-server.log").open("wb")
    with pinned(CORES.callers), log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE
        while not _model_there(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the model server is not ready; see {log.name}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _model_there(port: int) -> bool:
    request = GetModelStatusRequest()
    request.model_spec.name = "deep"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            said = ModelServiceStub(channel).GetModelStatus(request, timeout=1)
        except grpc.RpcError:
            return False
    return any(one.state == ModelVersionStatus.AVAILABLE for one in said.model_version_status)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Memory:
    """What one process has in memory, in bytes (Linux, ``smaps``)."""

    rss: int
    own: int
    """Beyond mapped files: anonymous memory, its own or shared with the process that it was forked from."""
    mapped: int
    """Resident pages of mapped files: artefacts, and libraries."""
    pss: int
    """Its own pages and its part of the shared ones."""
    private: int
    """Pages that nobody else has: what one more process costs."""


def memory_of(pid: int) -> Memory:
    """Read ``/proc/<pid>/smaps``."""
    totals = dict.fromkeys(("Rss", "Pss", "Anonymous", "Private_Clean", "Private_Dirty"), 0)
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        found = re.match(r"(Rss|Pss|Anonymous|Private_Clean|Private_Dirty):\s+(\d+) kB", line)
        if found:
            totals[found[1]] += 1024 * int(found[2])
    rss, own = totals["Rss"], totals["Anonymous"]
    return Memory(rss, own, rss - own, totals["Pss"], totals["Private_Clean"] + totals["Private_Dirty"])
