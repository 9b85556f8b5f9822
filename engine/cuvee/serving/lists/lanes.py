"""What belongs to one source that is asked: its slots, its circuit, its pace, and the calls that go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cuvee.serving.lists.breaker import Breaker
from cuvee.serving.lists.pace import Pace
from cuvee.serving.threads import Threads
from cuvee.serving.workers.suspects import Marks

__all__ = ["PATIENCE", "Lane", "Waiting"]

PATIENCE = 0.1
"""Seconds after which a source that computes loses its place."""


@dataclass(slots=True)
class Lane:
    """What belongs to one source: its slots, its circuit, and whether it is asked in threads of its own."""

    threads: Threads
    breaker: Breaker
    marks: Marks
    key: str
    """Its product and name, under which its calls are marked."""
    slot: int
    pace: Pace = field(default_factory=Pace)
    apart: bool = False
    quick: int = 0
    _going: dict[int, float] = field(default_factory=dict)
    """The threads inside of it -> the processor seconds that each had used when it went in."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Around a call in this thread: the supervisor of this process can see it, and so can :meth:`computes`."""
        self.marks.enter(self.slot)
        self._going[threading.get_ident()] = time.thread_time()
        try:
            yield
        finally:
            with self._lock:  # while it is held, the threads that are named are alive
                del self._going[threading.get_ident()]
            self.marks.leave(self.slot)

    def computes(self) -> bool:
        """Whether a call that lost its place goes on computing: one more would take more of the processor from all."""
        with self._lock:
            clocks = [(time.pthread_getcpuclockid(thread), before) for thread, before in self._going.items()]
            return any(time.clock_gettime(clock) - before > PATIENCE for clock, before in clocks)


@dataclass(slots=True)
class Waiting:
    """A call that goes on elsewhere."""

    future: Future[Any]
    began: float
    """In the time of ``time.perf_counter``."""
    granted: float
    """Seconds, from the beginning."""
    until: float
    """In the time of ``time.monotonic``."""
    ended: float = 0.0
    """As ``began``; 0 while it goes on."""

    def end(self, _: Future[Any]) -> None:
        """The call has ended."""
        self.ended = time.perf_counter()
