"""Starting the embedded model server as a process of its own: for a fit, a demo, a test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Embedded", "start"]

PAUSE = 0.05


@dataclass(frozen=True)
class Embedded:
    """A model server process that listens (its models may still be loading)."""

    address: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """The logged lines of one event."""
        return [line for line in _lines(self.log_file) if line.get("event") == name]

    def wait_for(self, event: str, seconds: float = 180.0, **facts: Any) -> dict[str, Any]:
        """The first logged line of an event with these facts.

        Raises:
            RuntimeError: there is none in that time, or the process has ended.
        """
        return _await(self.process, self.log_file, event, seconds, facts)

    def pause(self) -> None:
        """Suspend it: connections stay open, but nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it at once, during calls."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it, by force if it takes long, and delete its log."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self.log_file.unlink(missing_ok=True)


def start(arguments: Sequence[str], seconds: float = 180.0) -> Embedded:
    """Start ``cuvee model-server`` with these arguments, and wait until it listens.

    It ends when this process ends, in whatever way.

    Raises:
        RuntimeError: it does not; with its log.
    """
    with tempfile.NamedTemporaryFile(prefix="cuvee-model-server-", suffix=".log", delete=False) as log:
        log_file = Path(log.name)
        command = [sys.executable, "-m", "cuvee_tfserving.model_server", "--with-parent", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - this very interpreter
    try:
        address = str(_await(process, log_file, "listening", seconds, {})["address"])
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Embedded(address, process, log_file)


def _await(
    process: subprocess.Popen[bytes], log_file: Path, event: str, seconds: float, facts: dict[str, Any]
) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while True:
        ended = process.poll() is not None
        for line in _lines(log_file):
            if line.get("event") == event and all(line.get(name) == fact for name, fact in facts.items()):
                return line
        if ended or time.monotonic() > until:
            said = log_file.read_text(errors="replace")[-4000:]
            how = f"ended with {process.returncode}" if ended else "goes on"
            raise RuntimeError(f"the embedded model server {how}, but did not say {event!r} {facts}; it said:\n{said}")
        time.sleep(PAUSE)


def _lines(log_file: Path) -> list[dict[str, Any]]:
    found = []
    for line in log_file.read_text(errors="replace").splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            found.append(said)
    return found
