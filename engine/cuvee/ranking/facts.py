"""Facts of the items: how popular each is and how old, on scales that need no units, and which are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from cuvee.data.dataset import Dataset
from cuvee.recommender import Bools, Floats, Times

__all__ = ["ItemFacts"]

DAY = 86_400.0
FAR = 3.0
"""Facts are cut at this many standard deviations, so that one old hit does not outweigh everything."""


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of N items whoever asks. Numbers are standardised over the items: mean 0, deviation 1."""

    popularity: Floats
    """float32[N]: of log(1 + liking events)."""
    age: Floats
    """float32[N]: of log(1 + days since the first event). One without events is as young as can be."""
    untouched: Bools
    """bool[N]: those without any event."""

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Count a dataset's events; its newest one is today."""
        events, n = data.events, data.n_items
        likes = np.bincount(events.items[events.weights > 0], minlength=n)
        today = float(events.times.max(initial=0.0))
        first = np.full(n, today)
        np.minimum.at(first, events.items, events.times)
        untouched = np.bincount(events.items, minlength=n) == 0
        return cls(_standardised(np.log1p(likes)), _standardised(np.log1p((today - first) / DAY)), untouched)

    @classmethod
    def unknown(cls, n: int) -> Self:
        """The facts of n items that do not differ."""
        return cls(np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.bool_))


def _standardised(values: Times) -> Floats:
    deviation = float(values.std()) if len(values) else 0.0
    centred = values - values.mean() if len(values) else values
    return np.clip(centred / (deviation or 1.0), -FAR, FAR).astype(np.float32)
