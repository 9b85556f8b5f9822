"""New items: a source that cannot know them must not keep them from those who would like them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import cuvee
import numpy as np
import polars as pl
import pytest
from cuvee import builtins
from cuvee.config import Instance, Settings
from cuvee.errors import InvalidArgument
from cuvee.product import BlendConfig, Product, SourceUse
from cuvee.registry import Plugin, Registry
from cuvee.tuning.new_items import BEARABLE, LEVELS, NewItemsTuning, tune_new_items
from cuvee.tuning.objective import Measure

USERS, GENRES, EACH = 240, 20, 20
ITEMS = GENRES * EACH


def world() -> cuvee.Dataset:
    """Each user likes two genres: 16 of their 40 items, some more often than others."""
    drawn = np.random.default_rng(3)
    frame = pl.DataFrame({"id": [f"i{n}" for n in range(ITEMS)], "genre": [f"g{n % GENRES}" for n in range(ITEMS)]})
    items = cuvee.Entities.of(frame, {"genre": cuvee.Role.CATEGORY})
    appeal = np.exp(drawn.normal(size=ITEMS))
    pairs = []
    for user in range(USERS):
        able = np.flatnonzero(np.isin(np.arange(ITEMS) % GENRES, drawn.choice(GENRES, 2, replace=False)))
        chosen = drawn.choice(able, 16, replace=False, p=appeal[able] / appeal[able].sum())
        pairs += [(user, item) for item in chosen]
    users, liked = np.array(pairs).T
    catalog = cuvee.Catalog(items, cuvee.Entities.of_ids(f"u{n}" for n in range(USERS)))
    return cuvee.Dataset.build(catalog, users, liked, 1e9 + 60.0 * np.arange(len(pairs)))


class Nothing(cuvee.RecommenderConfig):
    """No settings."""


class Dense(cuvee.Recommender[Nothing]):
    """Scores everything at once; a subclass says how."""

    Config = Nothing
    serves: ClassVar = cuvee.Serves.SESSION

    def dense(self, queries: cuvee.Queries) -> np.ndarray:
        raise NotImplementedError

    def candidates(self, queries: cuvee.Queries, k: int) -> cuvee.Candidates:
        return cuvee.Candidates.top(self.dense(queries), k, queries)

    def score(self, queries: cuvee.Queries, items: np.ndarray) -> np.ndarray:
        found = np.take_along_axis(self.dense(queries), np.maximum(items, 0), axis=1)
        return np.where(items >= 0, found, np.float32(np.nan))


class Liked(Dense):
    """Recommends what users with the same likes like; has no opinion on items that nobody has liked."""

    def __init__(self, together: np.ndarray, n: int) -> None:
        self.together = np.full((n, n), np.nan, np.float32)
        self.together[: len(together), : len(together)] = together

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: Nothing, progress: cuvee.Progress) -> Self:
        seen = np.zeros((data.n_users, data.n_items), np.float32)
        seen[data.events.rows, data.events.items] = 1
        return cls(seen.T @ seen, data.n_items)

    def save(self, directory: Path) -> None:
        np.save(directory / "together.npy", self.together)

    @classmethod
    def load(cls, directory: Path, config: Nothing, catalog: cuvee.Catalog) -> Self:
        return cls(np.load(directory / "together.npy"), len(catalog.items))

    def dense(self, queries: cuvee.Queries) -> np.ndarray:
        known = ~np.isnan(self.together[0])
        scores = [
            np.where(known, self.together[queries.histories.row(b)].sum(axis=0), np.nan) for b in range(len(queries))
        ]
        return np.array(scores, np.float32)


class Tagged(Dense):
    """Recommends items with the tags of the history, new ones included."""

    serves: ClassVar = cuvee.Serves.SESSION | cuvee.Serves.COLD_ITEM

    def __init__(self, catalog: cuvee.Catalog) -> None:
        genres = catalog.items.frame["genre"].to_numpy()
        self.alike = (genres[:, None] == genres).astype(np.float32)

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: Nothing, progress: cuvee.Progress) -> Self:
        return cls(data.catalog)

    def save(self, directory: Path) -> None:
        pass

    @classmethod
    def load(cls, directory: Path, config: Nothing, catalog: cuvee.Catalog) -> Self:
        return cls(catalog)

    def dense(self, queries: cuvee.Queries) -> np.ndarray:
        return np.array([self.alike[queries.histories.row(b)].sum(axis=0) for b in range(len(queries))], np.float32)


class Installed:
    """A plugin with both."""

    @staticmethod
    @cuvee.hookimpl
    def register_recommenders() -> dict[str, type[Dense]]:
        return {"liked": Liked, "tagged": Tagged}


REGISTRY = Registry.of([Plugin("engine", "cuvee", "1", builtins), Plugin("both", "both", "1", Installed)])


def tuned(root: Path, **blend) -> NewItemsTuning:
    instances = {n: Instance(name=n, plugin=n, config=Nothing()) for n in ("liked", "tagged")}
    weights = {"cold": {"tagged": 1.0}, "warm": {"liked": 0.8, "tagged": 0.2}}
    product = Product(
        name="shop",
        dataset="shop",
        sources=tuple(SourceUse(use=n, candidates=ITEMS) for n in instances),
        blend=BlendConfig(segments={"cold": 0, "warm": 1}, weights=weights, **blend),
    )
    settings = Settings(root=root, recommenders=instances, products={"shop": product})
    return tune_new_items(settings, REGISTRY, "shop", world(), Measure("ndcg", 5), lambda name: lambda *said: None)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> NewItemsTuning:
    return tuned(tmp_path_factory.mktemp("new"))


def test_more_optimism_finds_more_new_items_and_costs_the_known_ones_more(found):
    assert found.n_new == pytest.approx(ITEMS / 10, abs=1)
    recalls = [level.found for level in found.levels]
    assert recalls == sorted(recalls)
    assert recalls[-1] > recalls[0]
    costs = [level.known.uplift.mean for level in found.levels]
    assert costs[-1] < costs[0]


def test_that_is_chosen_which_finds_most_while_known_items_lose_next_to_nothing(found):
    bearable = [level for level in found.levels if level.known.uplift.low >= -BEARABLE]
    assert len(bearable) < len(LEVELS)
    most = max(level.found for level in bearable)
    assert found.chosen == min(level.optimism for level in bearable if level.found == most)
    assert found.had == 0


def test_without_optimism_new_items_stay_behind_what_a_source_that_knows_them_finds(found):
    assert found.members == {"liked": 0.0, "tagged": 1.0}
    chosen = next(level for level in found.levels if level.optimism == found.chosen)
    assert found.levels[0].found < 0.9 < chosen.found


@pytest.mark.parametrize("blend", [{"method": "rrf"}, {"missing": "skip"}])
def test_a_blend_without_optimism_is_refused(tmp_path, blend):
    with pytest.raises(InvalidArgument, match=r"blend\.options\.optimism"):
        tuned(tmp_path, **blend)
