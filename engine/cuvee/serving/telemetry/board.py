"""Memory in which each worker leaves its figures, for the process that exports them.

It is anonymous memory, shared by a fork: no files, and what a worker wrote last stays when it dies. A slot has one
writer. Each note goes into the half that does not hold the newest one, so a writer that dies in between, or a reader
that comes in between, finds the one before.
"""

from __future__ import annotations

import mmap
import struct
import time
import zlib
from typing import NamedTuple

import structlog

__all__ = ["Board", "Note", "Slot"]

log = structlog.get_logger(__name__)

HALF = 4 * 2**20
"""Bytes of a note at most; pages that are not written to take no memory."""
HEAD = struct.Struct("<QIId")
"""Number of the note, bytes, checksum, and when it was written (monotonic)."""
START = 2 * HEAD.size


class Note(NamedTuple):
    """What a worker wrote last."""

    payload: bytes
    age: float
    """Seconds."""


class Slot:
    """One worker's memory. Workers that take each other's place go on in the same one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, START + 2 * HALF)

    def write(self, payload: bytes) -> None:
        """Leave a note."""
        if len(payload) > HALF:
            log.error("figures left out: there are too many", bytes=len(payload), most=HALF)
            return
        newest = max(self._heads(), default=(0, 0, 0, 0.0))
        half = (newest[0] + 1) % 2
        at = START + half * HALF
        self._memory[at : at + len(payload)] = payload
        head = HEAD.pack(newest[0] + 1, len(payload), zlib.crc32(payload), time.monotonic())
        self._memory[half * HEAD.size : (half + 1) * HEAD.size] = head

    def read(self) -> Note | None:
        """The newest whole note, if there is any."""
        for number, size, checksum, written in sorted(self._heads(), reverse=True):
            at = START + number % 2 * HALF
            payload = self._memory[at : at + size]
            if number and zlib.crc32(payload) == checksum:
                return Note(payload, time.monotonic() - written)
        return None

    def _heads(self) -> list[tuple[int, int, int, float]]:
        return [HEAD.unpack_from(self._memory, half * HEAD.size) for half in (0, 1)]


class Board:
    """The slots of all workers; worker ``n`` has slot ``n - 1``."""

    def __init__(self, workers: int) -> None:
        self.slots = tuple(Slot() for _ in range(workers))
