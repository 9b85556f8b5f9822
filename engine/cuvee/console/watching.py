"""Figures of the server's ``/metrics``, looked at every few seconds, and the last hour of them."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections import deque
from typing import Any

from cuvee.console.figures import Exposed, point, summary

__all__ = ["Watch"]

EVERY = 10.0
"""Seconds between two looks."""
QUICK = 10
"""Points of the beginning that follow each other five times as quickly: whoever opens the page then sees something."""
KEPT = 360
"""Looks: an hour."""
MOST_BYTES = 16 * 1024 * 1024


class Watch:
    """What is known of the figures; without a URL, nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._points: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._last: Exposed | None = None
        self._problem = ""

    def said(self) -> dict[str, Any]:
        """For the page: the figures now, and points of the last hour, the oldest first."""
        return {
            "metrics": bool(self._url),
            "problem": self._problem,
            "figures": summary(self._last) if self._last else None,
            "points": list(self._points),
            "every": EVERY,
        }

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while self._url:
            try:
                text = await asyncio.to_thread(self._fetch)
                now = Exposed.read(text, time.time())
            except (OSError, ValueError) as problem:
                self._problem = str(getattr(problem, "reason", "") or problem)
            else:
                self._problem = ""
                if self._last is not None:
                    self._points.append(point(self._last, now))
                self._last = now
            await asyncio.sleep(EVERY if len(self._points) >= QUICK or self._problem else EVERY / 5)

    def _fetch(self) -> str:
        # the command takes http and https alone
        with urllib.request.urlopen(self._url, timeout=5) as answer:  # noqa: S310  # nosec B310
            raw: bytes = answer.read(MOST_BYTES)
        return raw.decode()
