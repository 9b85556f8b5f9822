"""A fair queue of the writers to a SQLite file, in order of arrival.

SQLite allows one writer at a time and has no queue: a refused writer polls again a moment later, and some
of several may be refused until they time out. So writers queue here first. Threads of one process wait for
each other in order. Between processes, the first thread of each takes a number from a file beside the
database, locks the byte of that number, and waits for all lower ones. The kernel releases the locks of a
process that ends, so nobody waits for a dead process and nothing has to be cleaned up.

The queue only serves fairness. Where it is not available (a file system without such locks, a full disk),
writers go on without it, and SQLite's own lock still separates them.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

__all__ = ["NotOnTime", "Turns"]

log = structlog.get_logger(__name__)

COUNTING = 2**62
"""The byte that is locked while a number is taken."""
NUMBER = struct.Struct("<q")
LOCK = struct.Struct("hhqqixxxx")
"""The kernel's ``struct flock``: type, whence, start, length, pid."""


class NotOnTime(Exception):
    """The turn did not come in time."""


class Turns:
    """The queue of the writers to one file. Thread-safe."""

    def __init__(self, file: Path) -> None:
        """``file`` is created when needed; it holds the last number that was taken."""
        self._file = file
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        """The waiting threads of this process; the first one has its turn."""
        self._coming: _Coming | None = None
        self._told = False

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait for a turn, and keep it until the block ends.

        Raises:
            NotOnTime: it did not come within so many seconds.
        """
        until = time.monotonic() + seconds
        mine = threading.Event()
        with self._mutex:
            self._waiting.append(mine)
            if len(self._waiting) == 1:
                mine.set()
        try:
            if not mine.wait(seconds):
                raise NotOnTime
            file = self._number(until)
            try:
                yield
            finally:
                if file is not None:
                    os.close(file)  # which releases its locks
        finally:
            with self._mutex:
                self._waiting.remove(mine)
                if self._waiting:
                    self._waiting[0].set()

    def _number(self, until: float) -> int | None:
        """An open file that holds the lock of a number whose turn has come; None where no queue is available."""
        with self._mutex:
            coming = self._coming
            if coming is not None:
                coming.wanted = True
        if coming is None:
            try:
                file, number, now = _taken(self._file)
            except OSError as problem:
                self._tell(problem)
                return None
            if now:
                return file
            coming = self._coming = _Coming(file, number)
            # the kernel's wait has no time limit, so a thread does it, and we wait for the thread
            threading.Thread(target=self._wait, args=(coming,), name="store-turn", daemon=True).start()
        came = coming.came.wait(max(until - time.monotonic(), 0))
        with self._mutex:
            if not came and not coming.came.is_set():
                coming.wanted = False  # the next writer of this process gets the number
                raise NotOnTime
            self._coming = None
        return coming.file

    def _wait(self, coming: _Coming) -> None:
        try:
            _until_lowest(coming.file, coming.number)
        except OSError as problem:
            self._tell(problem)
        with self._mutex:
            if coming.wanted:
                coming.came.set()
            else:
                self._coming = None
                os.close(coming.file)

    def _tell(self, problem: OSError) -> None:
        if not self._told:
            log.warning("writers do not queue", file=str(self._file), problem=str(problem))
        self._told = True


@dataclass(slots=True)
class _Coming:
    """A number that is waited for."""

    file: int
    number: int
    came: threading.Event = field(default_factory=threading.Event)
    wanted: bool = True
    """Whether a thread of this process waits for it."""


def _taken(path: Path) -> tuple[int, int, bool]:
    """A file with the lock of the next number, that number, and whether it is the lowest."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(file, fcntl.F_WRLCK, COUNTING, 1, wait=True)
        last = os.pread(file, NUMBER.size, 0)
        number = max(NUMBER.unpack(last)[0] if len(last) == NUMBER.size else 0, 0) % (COUNTING - 1) + 1
        os.pwrite(file, NUMBER.pack(number), 0)
        _lock(file, fcntl.F_WRLCK, number, 1)
        _lock(file, fcntl.F_UNLCK, COUNTING, 1)
        try:
            _lock(file, fcntl.F_RDLCK, 0, number)
        except BlockingIOError:
            return file, number, False
    except BaseException:
        os.close(file)
        raise
    return file, number, True


def _until_lowest(file: int, number: int) -> None:
    """Wait until nobody has a lower number."""
    _lock(file, fcntl.F_RDLCK, 0, number, wait=True)


def _lock(file: int, kind: int, start: int, length: int, *, wait: bool = False) -> None:
    """Lock or unlock bytes for this open file description, independent of other threads and processes."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(file, command, LOCK.pack(kind, os.SEEK_SET, start, length, 0))
