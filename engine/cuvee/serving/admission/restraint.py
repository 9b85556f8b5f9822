"""How much of a process goes into telling callers that it is too busy.

A refusal with a reason costs the event loop as much as an empty call, a sixth of what a list costs. Several times
the capacity, refusals alone would fill the processor. So beyond a number of them a second the event loop pauses: the
thread that computes goes on, calls wait in gRPC's core, and what is too much there is ended there, for a fraction.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Restraint"]

AT_ONCE = 100
"""Refusals without a pause after a quiet time: a burst of calls is answered with reasons."""
LONGEST = 0.005
"""Seconds of one pause: health is answered between two of them."""


class Restraint:
    """Of one event loop."""

    def __init__(
        self,
        per_second: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = 1 / per_second
        self._sleep, self._clock = sleep, clock
        self._due = 0.0

    def refused(self) -> None:
        """Count a refusal; where there are too many, hold up the event loop, which is the purpose."""
        now = self._clock()
        self._due = max(self._due, now - AT_ONCE * self._pause) + self._pause
        if self._due > now:
            self._sleep(min(self._due - now, LONGEST))
