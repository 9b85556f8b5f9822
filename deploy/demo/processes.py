"""Cuvée's server and the model server, as the processes that they are: started, ready, ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from cuvee.client import Client
from cuvee_tfserving.protos import GetModelStatusRequest, ModelServiceStub, ModelVersionStatus
from grpc_health.v1 import health_pb2
from rich.text import Text

from deploy.demo.narration import command, console, say, short, show_command
from deploy.demo.place import CONFIG, Place

__all__ = ["model_server", "server"]

PATIENCE = 120.0
"""Seconds that a process has to be ready in."""
GRACE = 30.0
"""Seconds that it has to end in."""


@contextmanager
def server(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """``cuvee serve``, SERVING; ended by SIGTERM, which must end it well."""
    with _process(place, "server", ("serve", "--config", CONFIG), lambda: _serving(place.address)) as process:
        yield process


@contextmanager
def model_server(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """``cuvee model-server`` with the newest published version loaded and warmed up."""
    _, _, port = place.model_server.rpartition(":")
    arguments = ("model-server", "--port", port, "--model-base-path", place.folder / "models" / "deep")
    with _process(place, "model-server", arguments, lambda: _model_there(place.model_server)) as process:
        yield process


@contextmanager
def _process(
    place: Place, name: str, arguments: tuple[str | Path, ...], ready: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    show_command(*arguments, beside=True)
    log = place.folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(command(*arguments), env=dict(place.environment), stdout=out, stderr=out)  # noqa: S603 - our own command
    try:
        started = time.monotonic()
        while not ready():
            if process.poll() is not None or time.monotonic() - started > PATIENCE:
                _give_up(name, process, log)
            time.sleep(0.1)
        say(f"ready after {time.monotonic() - started:.1f} s; its log is {short(log)}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=GRACE)


def _give_up(name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    code = process.poll()
    how = f"is not ready after {PATIENCE:.0f} s" if code is None else f"ended with {code}"
    console.print(f"the {name} {how}; it says:", style="bold red")
    console.print(Text(log.read_text(errors="replace")[-3000:]))
    sys.exit(1)


def _serving(address: str) -> bool:
    """What ``grpc.health.v1`` says of the whole server."""
    serving: int = health_pb2.HealthCheckResponse.SERVING
    with Client(address) as client:
        try:
            return bool(client.health(timeout=1).status == serving)
        except grpc.RpcError:
            return False  # nobody listens yet


def _model_there(address: str) -> bool:
    """Whether the model server has a version of the model that it answers with."""
    request = GetModelStatusRequest()
    request.model_spec.name = "deep"
    with grpc.insecure_channel(address) as channel:
        try:
            said = ModelServiceStub(channel).GetModelStatus(request, timeout=1)
        except grpc.RpcError:
            return False
    return any(one.state == ModelVersionStatus.AVAILABLE for one in said.model_version_status)
