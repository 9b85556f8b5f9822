"""What each rule costs at 500 candidates, alone and together, beside the blend: microseconds of processor a query.

``python tests/benchmarks/rules.py`` prints a table; see README.md. Batches of 1 and 16 queries, lists of 20, five
sources with opinions on all candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.ranking.ask import Directly
from cuvee.ranking.blend import WeightedSum
from cuvee.ranking.calibrate import ZScore
from cuvee.ranking.pipeline import make_lists
from cuvee.ranking.plan import Plan, Question, Source
from cuvee.recommender import (
    Candidates,
    Floats,
    Histories,
    Ints,
    Progress,
    Queries,
    Recommender,
    RecommenderConfig,
    Serves,
)
from cuvee.rules import Rule, Seen
from cuvee.rules.places import Diversity, Pin, Quota
from cuvee.rules.scores import Boost, Fresh
from cuvee.rules.shown import ExcludeSeen, MinScore
from rich.console import Console
from rich.table import Table

N, CANDIDATES, SOURCES, K = 20_000, 500, 5, 20
RULES: dict[str, tuple[type[Rule[Any]], dict[str, Any]]] = {
    "exclude_seen": (ExcludeSeen, {}),
    "boost": (Boost, {"where": "price < 30", "by": 0.5}),
    "fresh": (Fresh, {"column": "born", "by": 0.5}),
    "min_score": (MinScore, {"at_least": -1.0}),
    "pin": (Pin, {"items": ["i7"], "place": 3}),
    "quota of brands": (Quota, {"attribute": "brand", "at_most": 2}),
    "quota of genres": (Quota, {"attribute": "genres", "at_most": 3}),
    "diversity": (Diversity, {"vectors": "v"}),
}


class Said(Recommender[RecommenderConfig]):
    """Proposes the same 500 items to everyone, in an order of its own."""

    Config = RecommenderConfig
    serves = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.pool = np.sort(np.random.default_rng(0).permutation(N)[:CANDIDATES]).astype(np.int32)
        self.values = np.full(N, np.nan, np.float32)
        self.values[self.pool] = rng.normal(size=CANDIDATES)
        order = np.argsort(-self.values[self.pool])
        self.best, self.best_values = self.pool[order], self.values[self.pool][order]

    @classmethod
    def fit(cls, data: Dataset, config: RecommenderConfig, progress: Progress) -> Self:
        """Not used."""
        raise NotImplementedError

    def save(self, directory: Path) -> None:
        """Not used."""

    @classmethod
    def load(cls, directory: Path, config: RecommenderConfig, catalog: Catalog) -> Self:
        """Not used."""
        raise NotImplementedError

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """Views only: the source itself is to cost next to nothing."""
        shape = (len(queries), CANDIDATES)
        return Candidates(np.broadcast_to(self.best, shape), np.broadcast_to(self.best_values, shape))

    def score(self, queries: Queries, items: Ints) -> Floats:
        """A lookup."""
        return np.where(items >= 0, self.values[np.maximum(items, 0)], np.float32(np.nan))


def plan_of(names: list[str], things: Catalog, vectors: Floats) -> Plan:
    """The same sources and blend with the given rules."""
    rules = []
    for name in names:
        kind, keys = RULES[name]
        rules.append(kind(kind.Config(**keys), things))
        rules[-1].name = name
    sources = [Source(f"s{at}", Said(at), CANDIDATES, None, "v") for at in range(SOURCES)]
    return Plan(
        "bench", things, sources, {s.name: ZScore({}) for s in sources}, WeightedSum(WeightedSum.Options(), "prior"),
        [("all", 0)], {}, rules, None, [], 2000, vectors={"v": vectors},
    )  # fmt: skip


def measured(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Microseconds of processor of one call, the least of five stretches."""
    least = np.inf
    for _ in range(5):
        began, n = time.process_time(), 0
        while time.process_time() - began < seconds / 5:
            call()
            n += 1
        least = min(least, (time.process_time() - began) / n * 1e6)
    return least


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "id": [f"i{i}" for i in range(N)],
            "brand": [f"b{b}" for b in rng.integers(0, 40, N)],
            "genres": [[f"g{g}" for g in rng.choice(18, 2, replace=False)] for _ in range(N)],
            "price": rng.uniform(0, 100, N),
            "born": rng.uniform(1.6e9, 1.7e9, N),
        }
    )
    things = Catalog(Entities.of(frame), Entities.of_ids(["u"]))
    vectors = rng.normal(size=(N, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = Table("rules", "1 query, us", "above none", "of 16, us a query", "above none")
    none: list[float] = []
    for label, names in [("none", []), *((name, [name]) for name in RULES), ("all together", list(RULES))]:
        made, row = plan_of(names, things, vectors), []
        for at, b in enumerate((1, 16)):
            histories = Histories.build([rng.integers(0, N, 20).tolist() for _ in range(b)])
            asked = Question(Queries.build(histories, now=1.7e9), Seen.imported(histories), K)
            with Directly() as ask:
                took = measured(lambda asked=asked, ask=ask, made=made: make_lists(made, asked, ask)) / b  # type: ignore[misc]
            if not names:
                none.append(took)
            row += [f"{took:.0f}", f"{took - none[at]:+.0f}"]
        table.add_row(label, *row)
    made = plan_of([], things, vectors)
    opinions = np.stack([s.recommender.values[s.recommender.pool] for s in made.sources])[:, None]  # type: ignore[union-attr]
    weights = np.full((SOURCES, 1), 1 / SOURCES, np.float32)
    items = made.sources[0].recommender.pool[None]  # type: ignore[union-attr]
    known = made.opinions(opinions, weights, items, np.zeros(opinions.shape, np.int32), with_facts=False)
    console = Console()
    console.print(table)
    console.print(f"the blend alone, 1 query: {measured(lambda: made.blender.contributions(known).sum(axis=0)):.0f} us")
    console.print(
        f"calibration of {SOURCES} sources: {SOURCES * measured(lambda: ZScore({}).calibrate(opinions[0])):.0f} us"
    )


if __name__ == "__main__":
    main()
