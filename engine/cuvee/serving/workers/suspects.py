"""Which source a worker was inside of when it hung or crashed, so that no worker asks it again for a while.

A call that never returns the interpreter's lock (a loop in C, a regular expression that backtracks) stops
every thread of its process, and a crash ends it: nothing inside that process can tell who did it. So each worker
writes into memory that it shares with its supervisor which sources it is inside of, and the supervisor writes
there which sources are to be left alone.
"""

from __future__ import annotations

import mmap
import struct
import time
from dataclasses import dataclass

__all__ = ["Board", "Inside", "Marks"]

SLOTS = 128
"""Sources of one worker that are marked, and sources that are suspected; further ones are not."""
_VERSION = struct.Struct("<Q")
_SLOT = struct.Struct("<d64s")
_TIME = struct.Struct("<d")
_TABLE = SLOTS * _SLOT.size
STAGGER = 10.0
"""Seconds by which each further worker tries a suspect again later than the one before, so that not all hang."""


def _name(source: str) -> bytes:
    return source.encode()[:64]


@dataclass(frozen=True, slots=True)
class Inside:
    """A call that has not come back."""

    source: str
    since: float
    """In the time of ``time.monotonic``, which is the same for all processes of a machine."""


class Board:
    """The shared memory of a supervisor and its workers; made before they are forked."""

    def __init__(self, workers: int = 1) -> None:
        self._memory = mmap.mmap(-1, _VERSION.size + (1 + workers) * _TABLE)
        self._suspects = 0

    def marks(self, worker: int = 1) -> Marks:
        """The view of a worker (from 1), cleared of what an earlier process left there."""
        start = _VERSION.size + worker * _TABLE
        self._memory[start : start + _TABLE] = bytes(_TABLE)
        return Marks(self._memory, worker)

    def inside(self, worker: int) -> Inside | None:
        """The call that the worker began last of those that have not come back."""
        start = _VERSION.size + worker * _TABLE
        latest: tuple[float, bytes] = (0.0, b"")
        for at in range(start, start + _TABLE, _SLOT.size):
            latest = max(latest, _SLOT.unpack_from(self._memory, at))
        since, source = latest
        return Inside(source.rstrip(b"\0").decode(errors="replace"), since) if since else None

    def suspect(self, source: str, seconds: float) -> None:
        """Have every worker leave a source alone for so long."""
        until, name = time.monotonic() + seconds, _name(source)
        for at in range(SLOTS):
            place = _VERSION.size + at * _SLOT.size
            _, there = _SLOT.unpack_from(self._memory, place)
            if there.rstrip(b"\0") in {name, b""}:
                _SLOT.pack_into(self._memory, place, until, name)
                break
        self._suspects += 1
        _VERSION.pack_into(self._memory, 0, self._suspects)


class Marks:
    """A worker's side: it marks what it is inside of, and asks what it is to leave alone."""

    def __init__(self, memory: mmap.mmap, worker: int) -> None:
        self._memory, self._worker = memory, worker
        self._start = _VERSION.size + worker * _TABLE
        self._slots: dict[str, int] = {}
        self._version = 0
        self._until: dict[bytes, float] = {}

    def slot(self, source: str) -> int:
        """Where calls of a source are marked; -1 where there is no room for one more."""
        at = self._slots.setdefault(source, len(self._slots))
        if at >= SLOTS:
            return -1
        place = self._start + at * _SLOT.size
        _SLOT.pack_into(self._memory, place, 0.0, _name(source))
        return place

    def enter(self, slot: int) -> None:
        """A call of the source of this slot begins."""
        if slot >= 0:
            _TIME.pack_into(self._memory, slot, time.monotonic())

    def leave(self, slot: int) -> None:
        """It has come back."""
        if slot >= 0:
            _TIME.pack_into(self._memory, slot, 0.0)

    def suspected(self, source: str) -> bool:
        """Whether the source is to be left alone now."""
        version = _VERSION.unpack_from(self._memory, 0)[0]
        if version == 0:
            return False
        if version != self._version:
            self._version = version
            table = self._memory[_VERSION.size : _VERSION.size + _TABLE]
            self._until = {name.rstrip(b"\0"): until for until, name in _SLOT.iter_unpack(table)}
        until = self._until.get(_name(source), 0.0)
        return until > 0 and time.monotonic() < until + STAGGER * (self._worker - 1)
