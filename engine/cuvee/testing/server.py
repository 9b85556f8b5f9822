"""A real server as a process of its own, for tests of plugins, products and clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cuvee.client import Client

__all__ = ["RunningServer", "run_server"]


@dataclass(frozen=True)
class RunningServer:
    """A server process that listens."""

    address: str
    process: subprocess.Popen[bytes]
    log_file: Path
    client: Client

    @property
    def log(self) -> str:
        """Its log so far: one JSON object a line."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, object]]:
        """The logged lines of one event."""
        return [line for line in _lines(self.log) if line.get("event") == name]


def _lines(log: str) -> Iterator[dict[str, object]]:
    for line in log.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _wait_for(event: str, process: subprocess.Popen[bytes], log_file: Path, until: float) -> dict[str, object]:
    while True:
        said = log_file.read_text(encoding="utf-8", errors="replace")
        for line in _lines(said):
            if line.get("event") == event:
                return line
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it was {event}; it said:\n{said}")
        if time.monotonic() > until:
            raise TimeoutError(f"the server is not {event} yet; it said:\n{said}")
        time.sleep(0.02)


@contextmanager
def run_server(
    config: Path,
    *,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    wait_until: str = "ready",
    seconds: float = 120.0,
) -> Iterator[RunningServer]:
    """Run ``cuvee serve`` on a free port, in one process unless ``options`` say otherwise, and stop it at the end.

    Args:
        config: a ``cuvee.toml`` whose products were fitted.
        environment: variables beside those of this process.
        options: more of the command's options.
        wait_until: the event in its log to wait for; "listening" comes before models are loaded.
        seconds: how long to wait for that.

    Raises:
        RuntimeError: it ended before that; with its log.
        TimeoutError: it took longer; with its log.
    """
    command = [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(config), "--listen", "127.0.0.1:0"]
    command += ["--workers", "1"]
    with tempfile.TemporaryDirectory(prefix="cuvee-server-") as folder:
        log_file = Path(folder) / "log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, and the test's configuration
                [*command, *options], stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )
        until = time.monotonic() + seconds
        try:
            address = str(_wait_for("listening", process, log_file, until)["address"])
            _wait_for(wait_until, process, log_file, until)
            with Client(address) as client:
                yield RunningServer(address, process, log_file, client)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
