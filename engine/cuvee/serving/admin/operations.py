"""Fits and tunings that a server starts: processes beside it, which go on where it ends.

Each leaves its files in one folder beside the datasets, so that every worker, and a server that was started again,
can tell how it stands. The process itself holds a lock for as long as it lives: that is how it is known to be alive,
and why there is one at a time for each product.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cuvee.errors import NotFound, OperatorError

__all__ = ["Operation", "Operations"]

FOLDER = "operations"
KEPT = 50
OUTPUT = 4000
"""Characters of what the command said that are told."""
ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
# the command's exit code outlives this server; names come as arguments, so that the shell reads none of them
SHELL = '"$@"; code=$?; echo "$code" > "$0.ends"; mv "$0.ends" "$0.code"'


@dataclass(frozen=True, slots=True)
class Operation:
    """One of them, as it stands."""

    id: str
    product: str
    kind: str
    """``fit`` or ``tune``."""
    state: str
    """``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``."""
    began: float
    """Seconds since 1970."""
    ended: float
    """Seconds since 1970; 0: not yet, or nobody knows."""
    step: str
    done: float
    """Of this step, 0 to 1."""
    output: str


class Operations:
    """Those of a configuration. Its methods block."""

    def __init__(self, data: Path, config: Path) -> None:
        """``data`` is the folder of the datasets."""
        self._folder = data / FOLDER
        self._config = config

    def start(self, product: str, kind: str, *options: str) -> Operation:
        """Begin ``cuvee KIND PRODUCT``.

        Raises:
            OperatorError: another one of the product is running, or the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock(product), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise OperatorError(f"{self._folder} cannot be written: {problem.strerror}") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OperatorError(
                    f"an operation of product {product!r} is running; wait for its end, or cancel it (ListOperations)"
                ) from None
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
            command = [sys.executable, "-m", "cuvee.cli", kind, product, "--config", str(self._config), *options]
            place = self._folder / name
            with place.with_suffix(".log").open("wb") as said:
                process = subprocess.Popen(  # noqa: S603 - this interpreter, and a product that is configured
                    ["/bin/sh", "-c", SHELL, str(place), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env={**os.environ, "CUVEE_PROGRESS_FILE": f"{place}.progress"},
                    start_new_session=True,
                    pass_fds=[lock],
                )
            with suppress(OSError):  # serving goes first
                os.setpriority(os.PRIO_PGRP, process.pid, 10)
            told = {
                "product": product,
                "kind": kind,
                "began": time.time(),
                "pid": process.pid,
                "host": socket.gethostname(),
            }
            place.with_suffix(".json").write_text(json.dumps(told))
        finally:
            os.close(lock)  # the process has it
        self._forget(product)
        return self.get(name)

    def get(self, operation: str) -> Operation:
        """How one stands.

        Raises:
            NotFound: there is none of this id.
        """
        told, place = self._told(operation), self._folder / operation
        product = str(told["product"])
        code = _text(place.with_suffix(".code")).strip()
        if code:
            state = "SUCCEEDED" if code == "0" else "FAILED"
            ended = place.with_suffix(".code").stat().st_mtime
        else:
            alive = self._newest(product) == operation and self._held(product)
            state, ended = ("RUNNING" if alive else "FAILED"), 0.0
        if state == "FAILED" and place.with_suffix(".cancelled").exists():
            state = "CANCELLED"
        step, done = _progress(_text(place.with_suffix(".progress")))
        output = _text(place.with_suffix(".log"))[-OUTPUT:]
        if state == "FAILED" and not code:
            output += "\nit was interrupted: the machine or container that it ran in has ended"
        began = float(str(told["began"]))
        return Operation(operation, product, str(told["kind"]), state, began, ended, step, done, output)

    def of(self, product: str) -> list[str]:
        """The ids of a product's operations, the newest first."""
        there = sorted((one.stem for one in self._folder.glob("*.json")), reverse=True)
        return [one for one in there if self._told(one)["product"] == product]

    def cancel(self, operation: str) -> Operation:
        """End one, as Ctrl-C does; it cleans up after itself.

        Raises:
            NotFound: there is none of this id.
            OperatorError: it runs on another machine.
        """
        now, told = self.get(operation), self._told(operation)
        if now.state != "RUNNING":
            return now
        if told["host"] != socket.gethostname():
            raise OperatorError(f"operation {operation} runs on {told['host']}; ask the server there")
        (self._folder / operation).with_suffix(".cancelled").touch()
        with suppress(ProcessLookupError):
            os.killpg(int(str(told["pid"])), signal.SIGINT)
        return self.get(operation)

    def _told(self, operation: str) -> dict[str, object]:
        text = _text((self._folder / operation).with_suffix(".json")) if ID.fullmatch(operation) else ""
        if not text:
            raise NotFound("operation", operation)
        found: dict[str, object] = json.loads(text)
        return found

    def _newest(self, product: str) -> str:
        return next(iter(self.of(product)), "")

    def _lock(self, product: str) -> Path:
        return self._folder / f"{product}.lock"

    def _held(self, product: str) -> bool:
        """Whether a process of the product is alive."""
        with self._lock(product).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _forget(self, product: str) -> None:
        for old in self.of(product)[KEPT:]:
            for file in self._folder.glob(f"{old}.*"):
                file.unlink(missing_ok=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _progress(text: str) -> tuple[str, float]:
    try:
        told = json.loads(text)
        return str(told["step"]), min(max(float(told["done"]) / float(told["total"] or 1), 0.0), 1.0)
    except (ValueError, KeyError, TypeError):
        return "", 0.0
