"""The items sorted by popularity at the fit, so that a request only walks down from the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Order"]

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Order:
    """The part of the score that is the same for all users, sorted, and how much a segment can add to it."""

    items: Ints
    """int32[m]: the items that have a score, the most popular first."""
    scores: Floats
    """float32[m]: their scores without the segments' lifts."""
    most: Floats
    """float32[S]: the highest lift of any item in each segment; 0 at least."""

    @classmethod
    def of(cls, scores: Floats, lifts: Floats) -> Self:
        """Sort float32[n] and leave out NaN. ``lifts`` is float32[S, n]."""
        known = np.flatnonzero(~np.isnan(scores)).astype(np.int32)
        items = known[np.argsort(-scores[known], kind="stable")]
        return cls(items, scores[items], lifts.max(axis=1, initial=0))

    def first(self, length: int, eligible: Bools | None) -> tuple[Ints, float]:
        """The most popular ``length`` eligible items (bool[N]), by position; and the score of the next one.

        That is -inf where no more are left. Fewer items may be eligible.
        """
        if eligible is None:
            found, stop = self.items[:length], min(length, len(self.items))
        else:
            # take a stretch of the order that has enough eligible items
            stop = 0
            parts, have = [], 0
            while have < length and stop < len(self.items):
                stretch = self.items[stop : stop + max(length, stop)]
                stop += len(stretch)
                inside = np.zeros(len(stretch), np.bool_)
                within = stretch < len(eligible)
                inside[within] = eligible[stretch[within]]
                parts.append(stretch[inside])
                have += len(parts[-1])
            found = np.concatenate(parts) if parts else self.items[:0]
        left = float(self.scores[stop]) if stop < len(self.items) else -np.inf
        return np.sort(found), left

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """To be saved."""
        return vars(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from the result of :meth:`arrays`."""
        return cls(**arrays)
