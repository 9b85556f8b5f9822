"""A worker's side of the supervision: report readiness, send heartbeats, and end when the supervisor is gone."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from cuvee.serving.workers.suspects import Marks

__all__ = ["ASIDE", "BEAT", "BEAT_EVERY", "READY", "Worker"]

ASIDE = 0
"""The number of the process that answers no callers: it exports the workers' figures."""

READY, BEAT = b"r", b"."
BEAT_EVERY = 1.0
"""Seconds between two heartbeats."""


@dataclass(frozen=True)
class Worker:
    """One of several processes that answer on one port. It listens when its models are loaded, not before."""

    number: int
    """From 1; a replacement takes the number of the worker that it replaces."""
    says: int
    """A non-blocking pipe to the supervisor."""
    supervisor: int
    """A pipe that closes when the supervisor ends."""
    marks: Marks
    """Where it marks which sources it is inside of."""

    @property
    def first(self) -> bool:
        """Whether this worker does the tasks that only one worker must do."""
        return self.number == 1

    def ready(self) -> None:
        """Report that it is ready."""
        self._say(READY)

    def beat(self) -> None:
        """Give a sign of life."""
        self._say(BEAT)

    async def live(self, stop: asyncio.Event) -> None:
        """Send heartbeats until cancelled; set ``stop`` when the supervisor is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.supervisor, stop.set)
        try:
            while not stop.is_set():
                self.beat()
                await asyncio.sleep(BEAT_EVERY)
        finally:
            loop.remove_reader(self.supervisor)

    def _say(self, what: bytes) -> None:
        try:
            os.write(self.says, what)
        except (BlockingIOError, BrokenPipeError):
            return  # the other pipe shows the end, or the pipe is full of heartbeats
