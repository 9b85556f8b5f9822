"""A cache of the model's answers, each kept for as long as its batch lives.

A request calls a source twice with the same queries, for candidates and for scores; the second call uses
the cached answer. The model's input are the queries' histories, whose arrays are read-only by contract. So
the identity of the array is the key, and the entry is deleted with the array.
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
    """Histories -> the model's answer."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry[T]] = {}
        # reentrant: garbage collection may delete an array, and its entry, at any allocation
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, histories: Histories) -> T | None:
        """The answer for these very histories, if there is one."""
        with self._lock:
            entry = self._entries.get(id(histories.items))
        if entry is None or entry.offsets is not histories.offsets or entry.weights is not histories.weights:
            return None
        return entry.said

    def keep(self, histories: Histories, said: T) -> None:
        """Cache an answer until the histories' array of items is deleted."""
        key = id(histories.items)
        with self._lock:
            if key not in self._entries:
                weakref.finalize(histories.items, self._forget, key).atexit = False
            self._entries[key] = _Entry(histories.offsets, histories.weights, said)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._entries.pop(key, None)
