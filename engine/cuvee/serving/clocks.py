"""Deadlines of many calls under one timer: a timer of its own for each call costs more than an empty call does."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

__all__ = ["Clock", "Clocks"]

TICK = 0.005
"""Seconds between two looks; a call may take so much longer than its deadline."""


@dataclass(slots=True, eq=False)
class Clock:
    """One call's time."""

    deadline: float
    """In the time of ``time.monotonic``."""
    task: asyncio.Task[object]
    rang: bool = False
    """The deadline has passed, and the task was cancelled for that."""

    @property
    def over(self) -> bool:
        """Whether the deadline has passed by more than a look is late at most."""
        return time.monotonic() > self.deadline + TICK


class Clocks:
    """The clocks of all calls that go on. For one event loop."""

    def __init__(self) -> None:
        self._going: set[Clock] = set()
        self._looking = False

    def start(self, deadline: float) -> Clock:
        """A clock for the task that runs now, which is cancelled when the deadline passes."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a clock is for a task")
        clock = Clock(deadline, task)
        self._going.add(clock)
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(TICK, self._look)
        return clock

    def stop(self, clock: Clock) -> None:
        """The task has ended."""
        self._going.discard(clock)

    def _look(self) -> None:
        now = time.monotonic()
        for clock in [one for one in self._going if one.deadline <= now and not one.rang]:
            clock.rang = True
            clock.task.cancel()
        self._looking = bool(self._going)
        if self._looking:
            asyncio.get_running_loop().call_later(TICK, self._look)
