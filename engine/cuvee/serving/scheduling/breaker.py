"""A circuit breaker: a source that keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Breaker", "Pass"]


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to ask a source once; the outcome is told to the breaker that gave it."""

    probe: bool
    """Whether the circuit is open and this one tries whether the source is back."""


class Breaker:
    """Closed until ``failures`` in a row; then open, with one probe after each pause.

    What counts is a run of the pipeline, however many callers share it: the fifth failed run in a
    row opens the circuit. The pause doubles from ``first`` to ``longest`` seconds with every probe
    that fails; that, and the second that a connection may take to be made again, keep a source that
    is back from waiting more than five seconds. Used from the event loop alone.
    """

    def __init__(
        self,
        failures: int = 5,
        first: float = 1.0,
        longest: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._first = first
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._pause = first
        self._closed = True
        self._until = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether the source is asked as usual."""
        return self._closed

    def admit(self) -> Pass | None:
        """Leave to ask, or None while the source is to be left alone."""
        if self._closed:
            return Pass(probe=False)
        if self._probing or self._clock() < self._until:
            return None
        self._probing = True
        return Pass(probe=True)

    def succeeded(self, given: Pass) -> None:
        """The source answered."""
        if given.probe:
            self._closed, self._probing, self._pause = True, False, self._first
        if self._closed:
            self._failures = 0

    def failed(self, given: Pass) -> None:
        """The source failed, by its own fault."""
        if given.probe:
            self._probing = False
            self._pause = min(2 * self._pause, self._longest)
            self._until = self._clock() + self._pause
        elif self._closed:
            self._failures += 1
            if self._failures >= self._limit:
                self._closed = False
                self._until = self._clock() + self._pause

    def undecided(self, given: Pass) -> None:
        """Nothing was learnt: the call was given up for other reasons."""
        if given.probe:
            self._probing = False
