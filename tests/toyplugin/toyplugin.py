"""Three recommenders small enough to read at a glance, for the engine's own tests.

Put this folder on ``PYTHONPATH`` and they are installed, as any plugin is: the ``.dist-info``
beside this file names the entry point.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import cuvee
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


class ToyConfig(cuvee.RecommenderConfig):
    """One knob, so that a changed config can be told from an unchanged one."""

    strength: float = 1.0
    """What every score is multiplied by."""


class _Toy(cuvee.Recommender[ToyConfig]):
    """Float32[N] or float32[N, N], and scores made of it."""

    Config = ToyConfig
    stored: ClassVar[str] = "float32[n] finite"

    def __init__(self, counts: Floats) -> None:
        self.counts = counts

    def save(self, directory: Path) -> None:
        cuvee.save_arrays(directory, {"counts": self.counts})

    @classmethod
    def load(cls, directory: Path, config: ToyConfig, catalog: cuvee.Catalog) -> Self:
        return cls(cuvee.load_arrays(directory, {"counts": cls.stored})["counts"])

    def _dense(self, queries: cuvee.Queries) -> Floats:
        """Float32[B, N]; NaN rows where there is no opinion."""
        raise NotImplementedError

    def candidates(self, queries: cuvee.Queries, k: int) -> cuvee.Candidates:
        return cuvee.Candidates.top(self._dense(queries), k, queries)

    def score(self, queries: cuvee.Queries, items: Ints) -> Floats:
        inside = (items >= 0) & (items < len(self.counts))
        scores = np.take_along_axis(self._dense(queries), np.where(inside, items, 0), axis=1)
        return np.where(inside, scores, np.float32(np.nan))


class ToyPopular(_Toy):
    """How often an item was liked, for everyone."""

    serves: ClassVar = cuvee.Serves.KNOWN_USER | cuvee.Serves.SESSION | cuvee.Serves.COLD_USER  # type: ignore[misc]

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: ToyConfig, progress: cuvee.Progress) -> Self:
        liked = data.events.items[data.events.weights > 0]
        progress(1, 1, f"{len(liked)} likes")
        return cls((config.strength * np.bincount(liked, minlength=data.n_items)).astype(np.float32))

    def _dense(self, queries: cuvee.Queries) -> Floats:
        return np.tile(self.counts, (len(queries), 1))

    def explain(self, queries: cuvee.Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        n = len(self.counts)
        return [f"liked {self.counts[item]:.0f} times" if item < n else None for item in items]


class ToyPairs(_Toy):
    """How many users liked an item along with those of the history."""

    stored: ClassVar[str] = "float32[n, n] finite"
    serves: ClassVar = cuvee.Serves.SESSION  # type: ignore[misc]

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: ToyConfig, progress: cuvee.Progress) -> Self:
        liked = data.matrix()
        progress(1, 2)
        pairs = (liked.T @ liked).toarray()
        np.fill_diagonal(pairs, 0)
        progress(2, 2, f"{np.count_nonzero(pairs)} pairs")
        return cls((config.strength * pairs).astype(np.float32))

    def _dense(self, queries: cuvee.Queries) -> Floats:
        history = queries.histories.matrix(len(self.counts))
        scores = np.asarray(history @ self.counts, np.float32)
        scores[queries.histories.liked == 0] = np.nan
        return scores

    def item_vectors(self) -> Floats:
        return self.counts


class ToyNearConfig(ToyConfig):
    """The recommender whose item vectors it uses."""

    vectors_from: ClassVar[frozenset[str]] = frozenset({"vectors_of"})
    vectors_of: str | None = None


class ToyNear(ToyPairs):
    """Pairs again, but of items whose vectors in another model are alike."""

    Config = ToyNearConfig

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: ToyConfig, progress: cuvee.Progress) -> Self:
        progress(1, 1)
        vectors = sum(data.vectors.values(), np.zeros((data.n_items, 1), np.float32))
        return cls((vectors @ vectors.T).astype(np.float32))


@cuvee.hookimpl
def register_recommenders() -> dict[str, type[_Toy]]:
    return {"toy_popular": ToyPopular, "toy_pairs": ToyPairs, "toy_near": ToyNear}
