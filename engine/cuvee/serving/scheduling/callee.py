"""What belongs to one source that is asked: its slots, its circuit, its pace, and the calls that go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from cuvee.serving.scheduling.breaker import Breaker
from cuvee.serving.scheduling.pace import Pace
from cuvee.serving.threads import Threads
from cuvee.serving.workers.suspects import Marks

__all__ = ["PATIENCE", "Callee", "Waiting"]

PATIENCE = 0.1
"""Seconds after which a source that computes loses its place."""


@dataclass(slots=True)
class Callee:
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

    async def awaited(self, method: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The value of an ``async`` call; its slot is given back when it ends, not when it is given up."""
        self.marks.enter(self.slot)
        try:
            return await method(*args)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as raised:  # noqa: BLE001 - a plugin's sys.exit() would end the event loop
            raise RuntimeError(f"raised {type(raised).__name__}") from None
        finally:
            self.marks.leave(self.slot)
            self.threads.release()

    def called(self, method: Callable[..., Any], args: Sequence[Any], before: float | None = None) -> Any:
        """The value of a call in this thread, marked: the supervisor of this process and :meth:`computes` see it.

        ``before``: processor seconds that this thread had used when it began the run that makes the call. To ask for
        them anew at each call is a point where the system likes to take the processor from this thread, which holds
        the interpreter's lock then.
        """
        thread = threading.get_ident()
        self.marks.enter(self.slot)
        self._going[thread] = time.thread_time() if before is None else before
        try:
            return method(*args)
        finally:
            with self._lock:  # while it is held, the threads that are named are alive
                del self._going[thread]
            self.marks.leave(self.slot)

    def outcome(self, method: Callable[..., Any], args: Sequence[Any], before: float) -> Callable[[], Any]:
        """What the method returned in this thread, or raises what it raised, when it is called; as :meth:`called`."""
        try:
            value = self.called(method, args, before)
        except Exception as raised:  # noqa: BLE001 - a plugin may raise anything; it is handed on
            problem: BaseException = raised
        except BaseException as raised:  # noqa: BLE001 - a plugin's sys.exit() must not end the server
            problem = RuntimeError(f"raised {type(raised).__name__}")
        else:
            return lambda: value

        def again() -> Any:
            raise problem

        return again

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
