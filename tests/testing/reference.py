"""Two small recommenders that keep the whole contract: what the broken ones are made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from cuvee import (
    Candidates,
    Catalog,
    Dataset,
    Progress,
    Queries,
    Recommender,
    RecommenderConfig,
    Serves,
    load_arrays,
    save_arrays,
)
from cuvee.recommender import Floats, Ints


class Settings(RecommenderConfig):
    shrink: float = 1.0


class Together(Recommender[Settings]):
    """What was seen together with the items of the history."""

    Config = Settings
    serves = Serves.SESSION

    def __init__(self, pairs: Floats) -> None:
        self.pairs = pairs

    @classmethod
    def fit(cls, data: Dataset, config: Settings, progress: Progress) -> Self:
        seen = data.matrix()
        pairs = (seen.T @ seen).toarray()
        return cls((pairs / (pairs.diagonal() + config.shrink)).astype(np.float32))

    def save(self, directory: Path) -> None:
        save_arrays(directory, {"pairs": self.pairs})

    @classmethod
    def load(cls, directory: Path, config: Settings, catalog: Catalog) -> Self:
        return cls(load_arrays(directory, {"pairs": "float32[n, n] finite"})["pairs"])

    def all_scores(self, queries: Queries) -> Floats:
        history = queries.histories.matrix(len(self.pairs))
        scores: Floats = (history @ self.pairs).astype(np.float32)
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores

    def candidates(self, queries: Queries, k: int) -> Candidates:
        return Candidates.top(self.all_scores(queries), k, queries)

    def score(self, queries: Queries, items: Ints) -> Floats:
        known = (items >= 0) & (items < len(self.pairs))
        scores = np.take_along_axis(self.all_scores(queries), np.where(known, items, 0), axis=1)
        return np.where(known, scores, np.float32(np.nan))

    def explain(self, queries: Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        return ["seen together" if item < len(self.pairs) else None for item in items]


class Newest(Recommender[RecommenderConfig]):
    """Newest first, for everyone, new items too; asynchronous."""

    Config = RecommenderConfig
    serves = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER | Serves.COLD_ITEM

    def __init__(self, years: Floats) -> None:
        self.years = years

    @classmethod
    def fit(cls, data: Dataset, config: RecommenderConfig, progress: Progress) -> Self:
        return cls.load(Path(), config, data.catalog)

    def save(self, directory: Path) -> None:
        (directory / "note.txt").write_text("the catalogue holds it all")

    @classmethod
    def load(cls, directory: Path, config: RecommenderConfig, catalog: Catalog) -> Self:
        return cls(catalog.items.frame["year"].to_numpy().astype(np.float32))

    async def candidates(self, queries: Queries, k: int) -> Candidates:
        return Candidates.top(np.tile(self.years, (len(queries), 1)), k, queries)

    async def score(self, queries: Queries, items: Ints) -> Floats:
        return np.where(items >= 0, self.years[items], np.float32(np.nan))
