"""Baselines that every learnt model must beat. Their lists come from the pipeline, like those of any source."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.data.dataset import Dataset
from cuvee.queries import Candidates, Floats, Ints, Queries, Serves
from cuvee.recommender import Progress, Recommender, RecommenderConfig

__all__ = ["EVER", "RANDOM", "RECENT", "Baseline", "baseline"]

RECENT, EVER, RANDOM = "popular, last 7 days", "popular, ever", "random"
WEEK = 7 * 86_400.0


class Baseline(Recommender[RecommenderConfig]):
    """Scores that are the same for everyone, or random; for every item and every user."""

    Config = RecommenderConfig
    serves: ClassVar[Serves] = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER | Serves.COLD_ITEM  # type: ignore[misc]

    def __init__(self, scores: Floats | None, n_items: int, seed: int = 0) -> None:
        """``scores`` is float32[n_items]; None is random, by user and item."""
        self._scores = scores
        self._n_items = n_items
        self._seed = seed

    @classmethod
    def fit(cls, data: Dataset, config: RecommenderConfig, progress: Progress) -> Self:
        """Every event of weight above 0 counts one."""
        return cls(_counts(data), data.n_items)

    def save(self, directory: Path) -> None:
        """Does nothing: baselines are recomputed, which is faster."""

    @classmethod
    def load(cls, directory: Path, config: RecommenderConfig, catalog: Catalog) -> Self:
        """The random baseline: nothing was saved."""
        return cls(None, len(catalog.items))

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """The best k."""
        everything = np.broadcast_to(np.arange(self._n_items, dtype=np.int32), (len(queries), self._n_items))
        return Candidates.top(self.score(queries, everything).copy(), k, queries)

    def score(self, queries: Queries, items: Ints) -> Floats:
        """The same scores for everyone, or hashes of user and item."""
        if self._scores is not None:
            return np.where(items >= 0, self._scores[items], np.float32(np.nan))
        mixed = (queries.users[:, None].astype(np.uint64) + np.uint64(self._seed + 2)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = mixed ^ (items.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F))
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        drawn = ((mixed ^ (mixed >> np.uint64(32))) >> np.uint64(40)).astype(np.float32)
        return np.where(items >= 0, drawn, np.float32(np.nan))


def _counts(data: Dataset, since: float = -np.inf) -> Floats:
    liked = (data.events.weights > 0) & (data.events.times > since)
    return np.bincount(data.events.items[liked], minlength=data.n_items).astype(np.float32)


def baseline(name: str, train: Dataset, n_items: int, seed: int) -> Baseline:
    """One of the three, learnt from ``train``, over a catalogue of ``n_items``."""
    if name == RANDOM:
        return Baseline(None, n_items, seed)
    newest = float(train.events.times.max(initial=0.0))
    counts = _counts(train, newest - WEEK if name == RECENT else -np.inf)
    return Baseline(np.pad(counts, (0, n_items - len(counts))), n_items)
