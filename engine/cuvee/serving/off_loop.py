"""Calls of the store from the event loop, in their own threads, so that the loop never waits for a disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cuvee.errors import UnavailableError
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.threads import AllTaken, Threads
from cuvee.serving.tracing.store import StoreTimes

__all__ = ["StoreCalls"]

T = TypeVar("T")


class StoreCalls:
    """The threads in which services call the store; reads for recommendations have others."""

    def __init__(self, slots: int, seconds: float, figures: Figures) -> None:
        """``seconds`` that a call may wait for its turn and take; the database has limits of its own."""
        self._threads = Threads("store", slots)
        self._timed = StoreTimes(figures, "call")
        self._seconds = seconds

    async def ask(self, call: Callable[[], T]) -> T:
        """Call in a thread.

        Raises:
            UnavailableError: the store does not answer in time.
        """
        try:
            with self._timed.started():
                return await self._threads.in_turn(self._seconds, call)
        except (TimeoutError, AllTaken):
            raise UnavailableError("the store does not answer in time; try again") from None

    def close(self) -> None:
        """Stop idle threads."""
        self._threads.close()
