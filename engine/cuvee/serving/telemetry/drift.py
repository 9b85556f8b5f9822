"""Whether a source's scores still lie as they did at its fit.

The manifest of a version holds the quantiles of each source's scores at fit (they are learnt with the calibrators). A
sample of what is served is counted in the deciles of those, older scores count for less and less, and the two are
compared by the population stability index: the sum of (now - then) ln(now / then) over the deciles. By custom, below
0.1 nothing has moved, and above 0.25 something has.

Source: Siddiqi, "Credit Risk Scorecards", 2006, ch. 10.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cuvee.recommender import Floats

__all__ = ["Drift"]

EVERY = 0.1
"""Seconds between two lists that are looked at."""
HALF_LIFE = 1800.0
"""Seconds after which a score counts half."""
LEAST = 50
"""Lists that must have been looked at before anything is said."""
DECILES = np.linspace(0, 1, 11)[1:-1]


@dataclass(slots=True)
class _Seen:
    """One source's scores, counted between edges."""

    edges: npt.NDArray[np.float64]
    """float64[n], rising."""
    then: npt.NDArray[np.float64]
    """float64[n + 1]: the share between the edges at fit."""
    now: npt.NDArray[np.float64] = field(init=False)
    """float64[n + 1]: how many lately."""
    lists: float = 0.0

    def __post_init__(self) -> None:
        self.now = np.zeros(len(self.then))


class Drift:
    """One product's sources. For one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._version = ""
        self._seen: dict[str, _Seen] = {}
        self._looked = -np.inf

    @property
    def due(self) -> bool:
        """Whether it is time to look at another list."""
        return self._clock() >= self._looked + EVERY

    def look(self, version: str, learnt: Mapping[str, Mapping[str, list[float]]], scores: Mapping[str, Floats]) -> None:
        """Count one list's scores.

        Args:
            version: of the models; with another one everything is counted anew.
            learnt: source -> ``levels`` and ``quantiles`` of its scores at fit.
            scores: source -> float32[M], its scores of the candidates, NaN = no opinion.
        """
        now = self._clock()
        fade = 0.5 ** ((now - self._looked) / HALF_LIFE)
        self._looked = now
        if version != self._version:
            self._version = version
            self._seen = {name: made for name, one in learnt.items() if (made := _at_fit(one)) is not None}
        for name, given in scores.items():
            seen = self._seen.get(name)
            if seen is None:
                continue
            there = given[~np.isnan(given)]
            seen.now = seen.now * fade + np.bincount(np.searchsorted(seen.edges, there), minlength=len(seen.now))
            seen.lists = seen.lists * fade + 1

    def index(self) -> dict[str, float]:
        """Source -> its population stability index, for those that were seen often enough."""
        return {name: _index(seen) for name, seen in list(self._seen.items()) if seen.lists >= LEAST and seen.now.any()}


def _at_fit(learnt: Mapping[str, list[float]]) -> _Seen | None:
    """The deciles, with the shares between them; None where all scores were alike, or nothing was learnt."""
    quantiles, levels = np.asarray(learnt.get("quantiles", ())), np.asarray(learnt.get("levels", ()))
    if not len(quantiles) or len(quantiles) != len(levels):
        return None
    edges = np.unique(np.interp(DECILES, levels, quantiles))
    if len(edges) < 2:
        return None
    # equal scores all lie on one side of an edge, so the shares are those of the distribution, not a tenth each
    drawn = np.interp((np.arange(10_000) + 0.5) / 10_000, levels, quantiles)
    then = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1) / len(drawn)
    return _Seen(edges, then)


def _index(seen: _Seen) -> float:
    count = len(seen.then)
    then = (seen.then * 1000 + 0.5) / (1000 + 0.5 * count)
    now = (seen.now + 0.5) / (seen.now.sum() + 0.5 * count)
    return float(((now - then) * np.log(now / then)).sum())
