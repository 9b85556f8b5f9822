"""The supervisor of the workers: starts them, replaces those that die or hang, and ends them all.

It loads no model, makes no gRPC object and starts no thread, so that it can fork at any time. Workers share
the modules that it has imported, so a replacement starts quickly. The only other threads are those that Polars
starts when it is imported: jemalloc's, which is made for forks, and one that cleans up after sorts larger than
memory, which do not occur here. Polars' thread pool starts with the first query, in a worker.
"""

from __future__ import annotations

import gc
import math
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog

from cuvee.serving.workers.suspects import Board
from cuvee.serving.workers.worker import ASIDE, READY, Worker

__all__ = ["supervise"]

log = structlog.get_logger(__name__)

HUNG = 10.0
"""Seconds without a heartbeat after which a worker is killed."""
INSIDE = 3.0
"""The same for one that has been inside of a source for so long: that one keeps the interpreter's lock."""
STOPPED = 1.5
"""The same for one that the kernel holds stopped (SIGSTOP), and that does nothing until somebody continues it."""
CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})
SUSPECTED, LONGEST_SUSPECTED = 60.0, 3600.0
"""Seconds for which a source is left alone inside of which a worker hung or crashed; doubled with each time."""
LATE = 2.0
"""If this process's own check is late by so many seconds, it was stopped itself, and kills no worker for that."""
SETTLED = 15.0
"""A worker that answered for so many seconds does not count as short-lived; how long it loads says nothing."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a worker is replaced; doubled with each short-lived one in a row."""
KILL_AFTER = 5.0
"""Seconds after the grace period before workers are killed."""


@dataclass
class _Running:
    """A worker as its supervisor sees it."""

    number: int
    pid: int
    says: int
    """The pipe that the worker writes to; it reaches its end when the worker is dead."""
    keeps: int
    """The pipe that closes when this process ends."""
    since: float
    beat: float
    """When it last gave a sign of life."""
    ready: bool = False
    ready_at: float = math.inf


def supervise(n: int, work: Callable[[Worker], int], address: str, grace: float, *, aside: bool = False) -> int:
    """Run workers until SIGTERM or SIGINT, then let each finish its running calls.

    Args:
        n: how many.
        work: what a worker does in its own process; its exit code.
        address: what they listen on, for the log.
        grace: seconds that they take to end at most.
        aside: run one process more, with the number 0, that exports the figures of the others.

    Returns:
        The exit code: 0, or that of a worker that could not start at all.
    """
    gc.collect()
    gc.freeze()  # objects that the collector ignores are not written to, so their pages stay shared
    return _Supervisor(n, work, address, grace, aside=aside).run()


class _Supervisor:
    def __init__(self, n: int, work: Callable[[Worker], int], address: str, grace: float, *, aside: bool) -> None:
        self._work, self._address, self._grace = work, address, grace
        self._running: dict[int, _Running] = {}
        self._due = {1: 0.0, **dict.fromkeys(range(2, n + 1), math.inf)}
        """When stopped workers are to be started. The others wait for the first one, so that a load error is
        reported once, and files that it has read are cached."""
        if aside:
            self._due[ASIDE] = 0.0
        self._short = dict.fromkeys(self._due, 0)
        """How many short-lived workers there were in a row."""
        self._began = False
        """All were ready once."""
        self._stopping = False
        self._board = Board(n)
        self._suspected: Counter[str] = Counter()
        """How often a worker hung or crashed inside of a source."""
        self._code = 0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)

    def run(self) -> int:
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGHUP, self._told_to_read)
        sent = killed = False
        ends = looked = time.monotonic()
        while self._running or not self._stopping:
            now = time.monotonic()
            if self._stopping and not sent:
                log.info("stopping", workers=len(self._running.keys() - {ASIDE}), grace=self._grace)
                sent, ends = True, now + self._grace + KILL_AFTER
                self._send(signal.SIGTERM)
            if sent and not killed and now > ends:
                log.warning("workers do not end and are killed", workers=sorted(self._running))
                killed = True
                self._send(signal.SIGKILL)
            if not self._stopping:
                self._start_due(now)
            self._listen()
            now = time.monotonic()
            if now - looked > LATE:
                for running in self._running.values():
                    running.beat = now
            looked = now
            if not self._stopping:
                self._kill_hung(now)
        log.info("stopped")
        return self._code

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _told_to_read(self, _number: int, _frame: FrameType | None) -> None:
        """Workers read certificates, tokens and keys again; those that are not ready yet ignore the signal."""
        log.info("SIGHUP: read again", workers=sorted(self._running))
        self._send(signal.SIGHUP)

    def _send(self, number: signal.Signals) -> None:
        for running in self._running.values():
            with suppress(ProcessLookupError):
                os.kill(running.pid, number)
            # a stopped process (SIGSTOP) reacts to no other signal
            if number is signal.SIGTERM:
                os.kill(running.pid, signal.SIGCONT)

    def _start_due(self, now: float) -> None:
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        says, hears = os.pipe()
        supervisor, keeps = os.pipe()
        os.set_blocking(hears, False)
        os.set_blocking(says, False)
        sys.stdout.flush()
        sys.stderr.flush()
        # what exports figures asks no source
        marks = Board().marks() if number == ASIDE else self._board.marks(number)
        pid = os.fork()
        if pid == 0:
            self._become(Worker(number, hears, supervisor, marks), says, keeps)
        os.close(hears)
        os.close(supervisor)
        now = time.monotonic()
        self._running[number] = _Running(number, pid, says, keeps, now, now)
        log.info("worker started", worker=number, pid=pid)

    def _become(self, worker: Worker, *ends: int) -> None:
        """The child's side of the fork: runs the worker, and never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            siblings = [end for running in self._running.values() for end in (running.says, running.keeps)]
            for end in (*ends, *siblings, self._woken, self._wake):
                os.close(end)
            code = self._work(worker)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        except Exception:
            log.exception("worker failed")
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _listen(self) -> None:
        """Wait briefly for messages of workers and for signals, and reap dead workers."""
        now = time.monotonic()
        pause = min([0.5, *(max(due - now, 0.0) for due in self._due.values())]) if not self._stopping else 0.2
        speakers = {running.says: running for running in self._running.values()}
        heard, _, _ = select.select([self._woken, *speakers], [], [], pause)
        for end in heard:
            try:
                said = os.read(end, 4096)
            except BlockingIOError:
                continue
            if end == self._woken:
                continue
            running = speakers[end]
            if not said:
                self._bury(running)
                continue
            running.beat = time.monotonic()
            if READY in said:
                self._is_ready(running)

    def _is_ready(self, running: _Running) -> None:
        running.ready, running.ready_at = True, time.monotonic()
        seconds = round(time.monotonic() - running.since, 3)
        log.info("worker ready", worker=running.number, pid=running.pid, seconds=seconds)
        if running.number != ASIDE:
            self._due = {number: 0.0 if due == math.inf else due for number, due in self._due.items()}
        if not self._began and not self._due and all(one.ready for one in self._running.values()):
            self._began = True
            log.info("workers ready", address=self._address, workers=len(self._running.keys() - {ASIDE}))

    def _bury(self, running: _Running) -> None:
        _, status = os.waitpid(running.pid, 0)
        os.close(running.says)
        os.close(running.keeps)
        del self._running[running.number]
        code = os.waitstatus_to_exitcode(status)
        if self._stopping:
            log.info("worker ended", worker=running.number, pid=running.pid, how=_in_words(code))
            return
        if not self._began:
            log.error("worker could not start", worker=running.number, pid=running.pid, how=_in_words(code))
            self._code = code if code > 0 else 1
            self._stopping = True
            return
        if -code in CRASHES or code > 0:
            self._suspect(running, 0.0)
        lived = time.monotonic() - running.since
        settled = time.monotonic() - running.ready_at > SETTLED
        short = self._short[running.number] = 0 if settled else self._short[running.number] + 1
        pause = min(FIRST_PAUSE * 2 ** max(short - 1, 0), LONGEST_PAUSE)
        self._due[running.number] = time.monotonic() + pause
        log.warning(
            "worker ended, and is replaced",
            worker=running.number,
            pid=running.pid,
            how=_in_words(code),
            lived=round(lived, 1),
            pause=round(pause, 1),
        )

    def _kill_hung(self, now: float) -> None:
        for running in self._running.values():
            silent = now - running.beat
            if silent > HUNG:
                why = "no sign of life"
            elif silent > STOPPED and _is_stopped(running.pid):
                why = "stopped"
            elif running.ready and silent > INSIDE and self._inside(running, INSIDE):
                why = "inside of a source that keeps the interpreter's lock"
            else:
                continue
            log.warning("worker hangs, and is killed", worker=running.number, pid=running.pid, silent=round(silent, 1),
                        why=why)  # fmt: skip
            running.beat = now  # until its exit is noticed
            if why != "stopped":
                self._suspect(running, INSIDE)
            os.kill(running.pid, signal.SIGKILL)

    def _inside(self, running: _Running, seconds: float) -> str | None:
        """The source that a worker has been inside of for so long, if there is one."""
        found = None if running.number == ASIDE else self._board.inside(running.number)
        return found.source if found and time.monotonic() - found.since > seconds else None

    def _suspect(self, running: _Running, seconds: float) -> None:
        """Have all workers leave the source alone that this one has been inside of for so long."""
        found = self._inside(running, seconds)
        if found is None:
            return
        self._suspected[found] += 1
        pause = min(SUSPECTED * 2 ** (self._suspected[found] - 1), LONGEST_SUSPECTED)
        self._board.suspect(found, pause)
        product, _, source = found.partition(" ")
        log.error("source is left alone", product=product, source=source, seconds=pause, worker=running.number,
                  hint="a worker hung or crashed inside of it")  # fmt: skip


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _in_words(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
