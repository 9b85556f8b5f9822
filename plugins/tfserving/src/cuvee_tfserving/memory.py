"""What the model said of a batch, kept for as long as the batch lives.

A request asks a source twice about the same queries, for candidates and for scores; the second
time the answer is at hand. What the model is told of queries is their histories, whose arrays are
read-only by contract: so their identity is the key, and the entry goes when the array does.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Generic, TypeVar

from cuvee.recommender import Floats, Histories, Offsets

__all__ = ["Memory"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    offsets: Offsets
    weights: Floats
    said: T


class Memory(Generic[T]):
    """Histories -> what was said of them."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry[T]] = {}
        # reentrant: an array may go, and its entry with it, at any allocation
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, histories: Histories) -> T | None:
        """What was said of the very same histories."""
        with self._lock:
            entry = self._entries.get(id(histories.items))
        if entry is None or entry.offsets is not histories.offsets or entry.weights is not histories.weights:
            return None
        return entry.said

    def keep(self, histories: Histories, said: T) -> None:
        """Remember, until the histories' array of items goes."""
        key = id(histories.items)
        with self._lock:
            if key not in self._entries:
                weakref.finalize(histories.items, self._forget, key).atexit = False
            self._entries[key] = _Entry(histories.offsets, histories.weights, said)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._entries.pop(key, None)
