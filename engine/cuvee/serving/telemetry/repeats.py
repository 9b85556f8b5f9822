"""Lines of the log that repeat are left out, and counted: no caller decides how much is written.

Lines are alike that say the same of the same product, source and so on; what else they hold does not count. Of lines
that are alike a few are written in each stretch of time, and the next one that is written says how many were left
out. A line that names an incident, which a caller may come with, is written more often, but without its traceback.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

__all__ = ["BURST", "STRETCH", "Repeats"]

BURST = 5
"""Lines that are alike, in one stretch of time."""
INCIDENTS = 50
"""The same, of those that name an incident."""
STRETCH = 10.0
"""Seconds."""
MOST = 1000
"""Kinds of lines that are remembered; beyond, those that were written longest ago are forgotten."""
ALIKE = (
    "event",
    "product",
    "shadow",
    "source",
    "sources",
    "reason",
    "method",
    "worker",
    "recommender",
    "name",
    "level",
)
UNLIMITED = frozenset({"audit"})
"""Lines that somebody must be able to rely on."""


@dataclass(slots=True)
class _Kind:
    line: Mapping[str, Any]
    """What they have in common."""
    until: float
    written: int = 0
    left_out: int = 0


class Repeats:
    """A processor of structlog; for any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: OrderedDict[tuple[Any, ...], _Kind] = OrderedDict()
        self.written: Counter[str] = Counter()
        """Lines by level."""
        self.left_out = 0

    def __call__(self, _logger: object, level: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """The line, or :class:`structlog.DropEvent`."""
        key = (level, *(str(line.get(name)) for name in ALIKE))
        with self._lock:
            if line.get("event") not in UNLIMITED:
                self._limit(key, line)
            self.written[level] += 1
        return line

    def _limit(self, key: tuple[Any, ...], line: structlog.typing.EventDict) -> None:
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is None:
            common = {name: line[name] for name in ALIKE if name in line}
            kind = self._kinds[key] = _Kind(common, now + STRETCH)
            while len(self._kinds) > MOST:
                self._kinds.popitem(last=False)
        elif now >= kind.until:
            if kind.left_out:
                line["left_out"] = kind.left_out
            kind.written, kind.left_out, kind.until = 0, 0, now + STRETCH
            self._kinds.move_to_end(key)
        incident = "incident" in line
        if kind.written >= (INCIDENTS if incident else BURST):
            kind.left_out += 1
            self.left_out += 1
            raise structlog.DropEvent
        kind.written += 1
        if kind.written > BURST:
            line.pop("exc_info", None)

    def ended(self) -> list[dict[str, Any]]:
        """What was left out and stopped: for each kind of line what was alike, and how many; they are told once."""
        now = self._clock()
        found = []
        with self._lock:
            for key, kind in list(self._kinds.items()):
                if now >= kind.until:
                    del self._kinds[key]
                    if kind.left_out:
                        found.append({**kind.line, "like": kind.line.get("event"), "left_out": kind.left_out})
        for one in found:
            one.pop("event", None)
        return found
