"""What a worker does for its supervisor: say that it is ready, and that it is alive; and end when it is alone."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

__all__ = ["BEAT", "BEAT_EVERY", "READY", "Worker"]

READY, BEAT = b"r", b"."
BEAT_EVERY = 1.0
"""Seconds between two signs of life."""


@dataclass(frozen=True)
class Worker:
    """One of several processes that answer on one port. It listens when its models are loaded, not before."""

    number: int
    """From 1; a worker that is started in another's place takes its number."""
    says: int
    """A pipe to the supervisor, which is not blocked on."""
    supervisor: int
    """A pipe that ends with the supervisor."""

    @property
    def first(self) -> bool:
        """Whether it does what is to be done once, not by each."""
        return self.number == 1

    def ready(self) -> None:
        """It answers from now on."""
        self._say(READY)

    async def live(self, stop: asyncio.Event) -> None:
        """Give signs of life until cancelled; set ``stop`` when the supervisor is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.supervisor, stop.set)
        try:
            while not stop.is_set():
                self._say(BEAT)
                await asyncio.sleep(BEAT_EVERY)
        finally:
            loop.remove_reader(self.supervisor)

    def _say(self, what: bytes) -> None:
        try:
            os.write(self.says, what)
        except (BlockingIOError, BrokenPipeError):
            return  # it is told by the other pipe's end, or has signs enough
