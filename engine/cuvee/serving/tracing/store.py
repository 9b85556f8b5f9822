"""What is counted and traced of each call of the store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from cuvee import tracing
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.tracing.calls import Asked
from cuvee.serving.tracing.traces import shared
from cuvee.tracing import Trace

__all__ = ["StoreTimes"]


class StoreTimes:
    """Times one kind of calls, each as a block, on any thread."""

    def __init__(self, figures: Figures, operation: str) -> None:
        self._durations = figures.histogram("cuvee_store_duration_seconds", operation)
        self._failures = figures.counter("cuvee_store_failures_total", operation)
        self._name = f"store {operation}"
        self._lock = threading.Lock()

    def started(self, calls: Sequence[Asked] | None = None) -> Timed:
        """A block that is timed, and a span; of one that is for several ``calls``, of them all."""
        if calls is not None:
            return Timed(self, shared([asked.span for asked in calls], self._name))
        return Timed(self, tracing.span(self._name))

    def ended(self, began: float, problem: BaseException | None) -> None:
        """One call has ended; one that was given up by its caller is no failure."""
        seconds = time.perf_counter() - began
        with self._lock:  # runs read the store in their own threads
            self._durations.add(seconds)
            if problem is not None and not isinstance(problem, asyncio.CancelledError):
                self._failures.add()


class Timed:
    """One call."""

    __slots__ = ("_began", "_span", "_times")

    def __init__(self, times: StoreTimes, span: AbstractContextManager[Trace | None]) -> None:
        self._times = times
        self._span = span
        self._began = time.perf_counter()

    def __enter__(self) -> None:
        """Its time has begun when it was made."""
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._times.ended(self._began, problem)
        self._span.__exit__(kind, problem, trace)
