"""How often something may be done, by key: token buckets."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from cuvee.product import Rate

__all__ = ["Buckets"]

MOST_KEYS = 100_000
"""Keys that are remembered; those whose buckets are full again are forgotten first."""


class Buckets:
    """A token bucket for each key. A new key's bucket is full.

    Each is a single number (GCRA, the generic cell rate algorithm): when it will be full again.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = 1 / rate.per_second
        self._depth = rate.burst * self._pause
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, n: int = 1) -> float:
        """Take n tokens. 0 when they were there; else none is taken, and the seconds until there are enough.

        More tokens than a bucket holds are granted from a full one, which is then the longer empty.
        """
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        wanted = full_at + n * self._pause
        short = wanted - now - max(self._depth, n * self._pause)
        if short > 1e-9:
            return short
        if len(self._full_at) >= MOST_KEYS and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = wanted
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the full ones; where there are none, the older half."""
        kept = [(key, full_at) for key, full_at in self._full_at.items() if full_at > now]
        self._full_at = dict(kept if len(kept) < MOST_KEYS else kept[MOST_KEYS // 2 :])
