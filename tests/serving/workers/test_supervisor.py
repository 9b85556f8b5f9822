"""The supervisor with processes that are no servers: each way in which a worker can end, and what happens then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import os, select, signal, sys, time
from pathlib import Path
from cuvee.serving import log
from cuvee.serving.workers import supervisor

supervisor.HUNG, supervisor.LATE, supervisor.KILL_AFTER = 1.5, 1.0, 1.0
folder, n, life = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def work(worker):
    first_life = not (folder / f"lived-{worker.number}").exists()
    (folder / f"lived-{worker.number}").touch()
    (folder / f"pid-{worker.number}").write_text(str(os.getpid()))
    if life == "cannot start":
        return 2
    if life == "is killed while it starts":
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if life == "hears nothing" else lambda *_: sys.exit(0))
    worker.ready()
    while not select.select([worker.supervisor], [], [], 0.1)[0]:
        worker._say(b".")
        if not first_life or worker.number > 1:
            if life == "dies again and again" and worker.number == 1:
                os._exit(1)
            continue
        if life in ("raises", "dies again and again"):
            raise RuntimeError("as a test wants")
        if life == "ends well":
            return 0
        if life == "exits":
            os._exit(7)
        if life == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if life == "is stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if life == "is busy with something else":
            time.sleep(60)
    return 0  # the supervisor is gone


log.configure()
sys.exit(supervisor.supervise(n, work, "nowhere:1", 0.5))
"""


class Supervised:
    """A supervisor that runs, and its log."""

    def __init__(self, folder: Path, n: int, life: str) -> None:
        self.folder = folder
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(n), life], stderr=self.log, stdout=self.log
        )

    def events(self, *names: str) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in told if not names or line["event"] in names]

    def pid(self, number: int) -> int:
        return int((self.folder / f"pid-{number}").read_text())


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@contextmanager
def supervised(folder: Path, life: str, n: int = 2) -> Iterator[Supervised]:
    running = Supervised(folder, n, life)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running.log.close()


@pytest.mark.parametrize(
    ("life", "how"),
    [
        ("raises", "exit code 1"),
        ("ends well", "exit code 0"),
        ("exits", "exit code 7"),
        ("is killed", "SIGKILL"),
        ("is stopped", "SIGKILL"),
        ("is busy with something else", "SIGKILL"),
    ],
)
def test_a_worker_that_dies_or_hangs_is_replaced_and_its_sibling_goes_on(tmp_path: Path, life: str, how: str):
    with supervised(tmp_path, life) as running:
        until(lambda: len(running.events("worker ready")) == 3)
        (ended,) = running.events("worker ended, and is replaced")
        assert (ended["worker"], ended["how"]) == (1, how)
        assert len(running.events("worker hangs, and is killed")) == (
            life in {"is stopped", "is busy with something else"}
        )
        pids = [line["pid"] for line in running.events("worker started")]
        assert len(set(pids)) == 3
        sibling = running.pid(2)
        assert alive(sibling)
        time.sleep(0.5)
        assert len(running.events("worker ended, and is replaced")) == 1
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert not any(map(alive, pids))
        assert running.events()[-1]["event"] == "stopped"


def test_one_that_dies_again_and_again_is_started_ever_later(tmp_path: Path):
    with supervised(tmp_path, "dies again and again") as running:
        until(lambda: len(running.events("worker ended, and is replaced")) == 4)
        pauses = [line["pause"] for line in running.events("worker ended, and is replaced")]
        assert pauses == [0.1, 0.2, 0.4, 0.8]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


@pytest.mark.parametrize(("life", "code"), [("cannot start", 2), ("is killed while it starts", 1)])
def test_where_the_first_cannot_start_all_is_over_and_told_once(tmp_path: Path, life: str, code: int):
    with supervised(tmp_path, life, 4) as running:
        assert running.process.wait(20) == code
        assert len(running.events("worker started")) == 1
        assert len(running.events("worker could not start")) == 1


def test_workers_that_do_not_end_are_killed(tmp_path: Path):
    with supervised(tmp_path, "hears nothing") as running:
        until(lambda: running.events("workers ready"))
        pids = [running.pid(1), running.pid(2)]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert not any(map(alive, pids))
        assert running.events("workers do not end and are killed")


def test_a_stopped_worker_does_not_hold_up_the_end(tmp_path: Path):
    with supervised(tmp_path, "lives on") as running:
        until(lambda: running.events("workers ready"))
        os.kill(running.pid(2), signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert {line["how"] for line in running.events("worker ended")} == {"exit code 0"}


def test_who_was_stopped_with_all_the_others_kills_nobody(tmp_path: Path):
    with supervised(tmp_path, "lives on") as running:
        until(lambda: running.events("workers ready"))
        everybody = [running.process.pid, running.pid(1), running.pid(2)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        time.sleep(2.0)
        assert not running.events("worker hangs, and is killed")
        assert all(map(alive, everybody))


@pytest.mark.parametrize("number", [signal.SIGHUP])
def test_a_hangup_ends_nobody(tmp_path: Path, number: signal.Signals):
    with supervised(tmp_path, "lives on") as running:
        until(lambda: running.events("workers ready"))
        running.process.send_signal(number)
        until(lambda: running.events("SIGHUP: read again"))
        assert alive(running.process.pid)
        assert not running.events("worker ended", "worker ended, and is replaced")
