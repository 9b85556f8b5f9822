"""What is counted of each call of the store."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from cuvee.serving.telemetry.figures import Figures

__all__ = ["StoreTimes"]


class StoreTimes:
    """Times one kind of calls, each as a block that is awaited on the event loop."""

    def __init__(self, figures: Figures, operation: str) -> None:
        self._durations = figures.histogram("cuvee_store_duration_seconds", operation)
        self._failures = figures.counter("cuvee_store_failures_total", operation)

    def started(self) -> Timed:
        """A block that is timed."""
        return Timed(self)

    def ended(self, began: float, problem: BaseException | None) -> None:
        """One call has ended; one that was given up by its caller is no failure."""
        self._durations.add(time.perf_counter() - began)
        if problem is not None and not isinstance(problem, asyncio.CancelledError):
            self._failures.add()


class Timed:
    """One call."""

    __slots__ = ("_began", "_times")

    def __init__(self, times: StoreTimes) -> None:
        self._times = times
        self._began = time.perf_counter()

    def __enter__(self) -> None:
        """Begun when it was made."""

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._times.ended(self._began, problem)
