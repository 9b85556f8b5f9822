"""How long a source that waits usually takes, and from when on it is late.

A circuit counts failures. A model server that has become slow does not fail, and every list would wait
for it as long as the budget allows. So each such source gets several times what is usual for it, and
no more; where it is late five runs in a row, its circuit opens and it is probed in the background.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Pace"]

KEPT = 128
"""Answers from which the usual time is learnt."""
LEAST = 20
"""Answers before which nothing is known to be usual."""
USUAL = 0.95
"""The quantile that counts as usual."""
TIMES = 5.0
FLOOR = 0.15
"""Seconds that are never late: pauses of a busy machine are no fault of the source."""
ROWS = 64
"""A batch of more rows gets as much more time."""
LASTING = 30
"""Probes in a row that were answered, but late: this is what is usual now (two minutes)."""


class Pace:
    """One source's. Used by the thread that holds the core."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._limit = math.inf
        self._news = 0
        self._late_probes = 0
        self.late = False
        """Whether the last call that was awaited took longer than the limit."""

    def limit(self, rows: int = 1) -> float:
        """Seconds after which a call for so many rows is late; infinity while too little is known."""
        return self._limit * max(1.0, rows / ROWS)

    def took(self, seconds: float) -> None:
        """The source answered in time."""
        self.late = False
        self._seconds.append(seconds)
        self._news += 1
        if len(self._seconds) >= LEAST and (self._news >= LEAST or self._limit == math.inf):
            self._news = 0
            usual = sorted(self._seconds)[int(USUAL * (len(self._seconds) - 1))]
            self._limit = max(FLOOR, TIMES * usual)

    def probed(self, seconds: float) -> bool:
        """Whether a probe that was answered after so many seconds finds the source quick enough again."""
        if seconds <= self._limit:
            self._late_probes, self.late = 0, False
            return True
        self._late_probes += 1
        if self._late_probes >= LASTING:
            self._seconds.clear()
            self._limit, self._news, self._late_probes, self.late = math.inf, 0, 0, False
            return True
        return False
