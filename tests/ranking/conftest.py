"""Plans over tiny recommenders whose opinions are written down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.ranking.blend import WeightedSum
from cuvee.ranking.calibrate import MinMax
from cuvee.ranking.plan import Plan, Question, Source
from cuvee.recommender import (
    Candidates,
    Histories,
    Progress,
    Queries,
    Recommender,
    RecommenderConfig,
    Serves,
)
from cuvee.rules import Seen
from cuvee.rules.shown import ExcludeSeen

ALL = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER


class Fixed(Recommender[RecommenderConfig]):
    """Has the same opinion for everyone: ``values[item]``, NaN for none."""

    Config = RecommenderConfig

    def __init__(self, values: Sequence[float], serves: Serves = ALL) -> None:
        self.values = np.asarray(values, np.float32)
        self.serves = serves

    @classmethod
    def fit(cls, data: Dataset, config: RecommenderConfig, progress: Progress) -> Self:
        raise AssertionError("not fitted in these tests")

    def save(self, directory: Path) -> None:
        raise AssertionError("not saved in these tests")

    @classmethod
    def load(cls, directory: Path, config: RecommenderConfig, catalog: Catalog) -> Self:
        raise AssertionError("not loaded in these tests")

    def _served(self, queries: Queries) -> Any:
        return np.where(queries.served_by(self.serves)[:, None], self.values, np.nan).astype(np.float32)

    def candidates(self, queries: Queries, k: int) -> Candidates:
        return Candidates.top(self._served(queries), k, queries)

    def score(self, queries: Queries, items: Any) -> Any:
        return np.where(items >= 0, np.take_along_axis(self._served(queries), np.maximum(items, 0), axis=1), np.nan)


class Raises(Fixed):
    def candidates(self, queries: Queries, k: int) -> Candidates:
        raise RuntimeError("secret: the password is swordfish")


class RaisesLater(Fixed):
    def score(self, queries: Queries, items: Any) -> Any:
        raise RuntimeError("secret")


class WrongShape(Fixed):
    def score(self, queries: Queries, items: Any) -> Any:
        return np.zeros((1, 1), np.float32)


class Infinite(Fixed):
    def score(self, queries: Queries, items: Any) -> Any:
        return np.full(items.shape, np.inf, np.float32)


class OutsideCatalogue(Fixed):
    def candidates(self, queries: Queries, k: int) -> Candidates:
        return Candidates(np.full((len(queries), 1), 10_000, np.int32), np.ones((len(queries), 1), np.float32))


def plan(
    sources: dict[str, Recommender[Any] | None],
    *,
    fallback: dict[str, Recommender[Any] | None] | None = None,
    weights: dict[str, dict[str, float]] | None = None,
    eligible: Any = None,
    n: int = 6,
) -> Plan:
    catalog = Catalog(Entities.of_ids(f"i{i}" for i in range(n)), Entities.of_ids(["u0", "u1"]))
    return Plan(
        product="toy",
        catalog=catalog,
        sources=[Source(name, r, 10, None, "v1") for name, r in sources.items()],
        calibrators={name: MinMax({}) for name in sources},
        blender=WeightedSum(WeightedSum.Options(), "prior"),
        segments=[("cold", 0), ("warm", 1)],
        weights=weights or {},
        rules=[ExcludeSeen(ExcludeSeen.Config(), catalog)],
        eligible=eligible,
        fallback=[Source(name, r, 10, None, "v1") for name, r in (fallback or {}).items()],
        max_candidates=100,
    )


def question(histories: list[list[int]], k: int = 4, **changes: Any) -> Question:
    events = Histories.build(histories)
    return Question(Queries.build(events, **changes), Seen.imported(events), k)
