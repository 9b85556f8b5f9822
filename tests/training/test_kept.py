"""Kept fits: a model is fitted once for the same data, plugin and settings, and again after any of them changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import cuvee
import numpy as np
import pytest
from cuvee import builtins
from cuvee.config import Instance, Settings
from cuvee.errors import NotFound, PluginError
from cuvee.product import Product, SourceUse
from cuvee.registry import Plugin, Registry
from cuvee.testing.toys import checkerboard
from cuvee.training.kept import FitStore, digest_of

DATA = checkerboard().data


class CountingConfig(cuvee.RecommenderConfig):
    serving_only = frozenset({"place"})
    shift: float = 0.0
    place: Path = Path("nowhere")

    def apart(self, folder: Path) -> Self:
        return self.model_copy(update={"place": folder})


class BasedConfig(CountingConfig):
    on: str = "counts"

    @property
    def needs_vectors_of(self):
        return (self.on,)


class Counting(cuvee.Recommender[CountingConfig]):
    """Counts its fits, and publishes a file as a model server wants it."""

    Config = CountingConfig
    serves: ClassVar = cuvee.Serves.KNOWN_USER
    fits: ClassVar[list[float]] = []
    closed: ClassVar[int] = 0

    def __init__(self, counts, config):
        self.counts, self.config = counts, config

    @classmethod
    def fit(cls, data, config, progress):
        if config.shift < 0:
            raise ValueError("below 0")
        cls.fits.append(config.shift)
        (config.place / "published.txt").write_text("for the model server")
        counts = np.bincount(data.events.items, minlength=data.n_items) + config.shift
        return cls(counts.astype(np.float32), config)

    def save(self, directory):
        cuvee.save_arrays(directory, {"counts": self.counts})

    @classmethod
    def load(cls, directory, config, catalog):
        return cls(cuvee.load_arrays(directory, {"counts": "float32[n] finite"})["counts"], config)

    def candidates(self, queries, k):
        return cuvee.Candidates.top(np.tile(self.counts, (len(queries), 1)), k, queries)

    def score(self, queries, items):
        return np.where(items >= 0, self.counts[items], np.nan).astype(np.float32)

    def item_vectors(self):
        return np.eye(len(self.counts), 4, dtype=np.float32)

    def close(self):
        type(self).closed += 1


class Based(Counting):
    """Is fitted on the vectors of another."""

    Config = BasedConfig

    @classmethod
    def fit(cls, data, config, progress):
        assert data.vectors[config.on].shape == (data.n_items, 4)
        return super().fit(data, config, progress)


class Hooks:
    @cuvee.hookimpl
    def register_recommenders(self):
        return {"counting": Counting, "based": Based}


@pytest.fixture(autouse=True)
def from_scratch() -> Iterator[None]:
    Counting.fits.clear()
    Counting.closed = 0
    yield


def registry(version: str = "1.0") -> Registry:
    return Registry.of([Plugin("engine", "cuvee", "1", builtins), Plugin("counting", "counting", version, Hooks())])


def settings(root: Path, **config: object) -> Settings:
    instance = Instance(name="counts", plugin="counting", config=CountingConfig(**config))
    product = Product(name="shop", dataset="shop", sources=(SourceUse(use="counts"),))
    return Settings(root=root, recommenders={"counts": instance}, products={"shop": product})


def told(name: str) -> cuvee.Progress:
    return lambda done, total, note="": None


def ask(root: Path, data=DATA, version="1.0", refit=(), **config) -> np.ndarray:
    """Get the model's scores through the store of a configuration."""
    chosen = settings(root, **config)
    with FitStore.of(chosen).fitted(data, chosen, registry(version), ["counts"], told, refit=refit) as found:
        return np.array(found["counts"].model.counts)


def test_a_fit_is_learnt_once(tmp_path):
    first = ask(tmp_path)
    again = ask(tmp_path)
    assert len(Counting.fits) == 1
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, np.bincount(DATA.events.items, minlength=DATA.n_items))


def test_models_are_closed_and_published_files_stay_with_the_fit(tmp_path):
    chosen = settings(tmp_path)
    with FitStore.of(chosen).fitted(DATA, chosen, registry(), ["counts"], told) as found:
        kept = found["counts"]
        assert not kept.reused
        assert (kept.model.config.place / "published.txt").read_text() == "for the model server"
        closed = Counting.closed
    assert Counting.closed == closed + 1
    with FitStore.of(chosen).fitted(DATA, chosen, registry(), ["counts"], told) as found:
        assert found["counts"].reused
        assert found["counts"].model.config.place == kept.model.config.place


@pytest.mark.parametrize(
    "changed",
    [
        {"data": DATA.where(np.arange(len(DATA)) > 0)},
        {"data": replace(DATA, events=replace(DATA.events, times=DATA.events.times + 1))},
        {"data": replace(DATA, events=replace(DATA.events, weights=2 * DATA.events.weights))},
        {"data": DATA.with_catalog(checkerboard().grown)},
        {"version": "1.1"},
        {"shift": 0.5},
        {"refit": ["counts"]},
    ],
    ids=["events", "times", "weights", "catalogue", "version", "settings", "refit"],
)
def test_what_a_fit_depends_on_makes_another_one(tmp_path, changed):
    ask(tmp_path)
    ask(tmp_path, **changed)
    assert len(Counting.fits) == 2


@pytest.mark.parametrize("changed", [{"shift": 2.0}, {"refit": ["counts"]}], ids=["settings", "refit"])
def test_who_learns_from_anothers_vectors_learns_anew_with_it(tmp_path, changed):
    def ask_both(shift=1.0, refit=()):
        plain = settings(tmp_path, shift=shift)
        based = Instance(name="based", plugin="based", config=BasedConfig(shift=9.0))
        both = plain.model_copy(update={"recommenders": {**plain.recommenders, "based": based}})
        with FitStore.of(both).fitted(DATA, both, registry(), ["based"], told, refit=refit) as found:
            return found["based"].reused

    assert [ask_both(), ask_both()] == [False, True]
    assert not ask_both(**changed)
    assert Counting.fits.count(9.0) == 2


def test_what_only_concerns_serving_does_not(tmp_path):
    ask(tmp_path)
    ask(tmp_path, place=Path("elsewhere"))
    assert len(Counting.fits) == 1


def test_a_changed_column_of_the_catalogue_is_other_data():
    frame = DATA.catalog.items.frame.with_columns(title=DATA.catalog.items.frame["title"].reverse())
    items = replace(DATA.catalog.items, frame=frame)
    assert digest_of(replace(DATA, catalog=replace(DATA.catalog, items=items))) != digest_of(DATA)


def test_a_damaged_fit_is_learnt_anew(tmp_path):
    ask(tmp_path)
    (array,) = (tmp_path / "var" / "fits").rglob("counts.npy")
    array.write_bytes(b"rubbish")
    ask(tmp_path)
    assert len(Counting.fits) == 2


def test_a_fit_that_fails_leaves_nothing_and_is_named(tmp_path):
    with pytest.raises(PluginError, match=r"counts \(counting\) cannot be fitted"):
        ask(tmp_path, shift=-1)
    assert not [p for p in (tmp_path / "var" / "fits").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_refit_of_what_is_not_there(tmp_path):
    with pytest.raises(NotFound, match="there are: counts"):
        ask(tmp_path, refit=["cuonts"])


def test_the_longest_unused_is_deleted_beyond_the_limit(tmp_path):
    for age, shift in ((300, 1.0), (200, 2.0), (100, 3.0)):
        ask(tmp_path, shift=shift)
        newest = max((f for f in (tmp_path / "var" / "fits").iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
        os.utime(newest, (newest.stat().st_mtime - age,) * 2)
    one = sum(p.stat().st_size for p in newest.rglob("*") if p.is_file())
    ask(tmp_path, shift=1.0)  # used again, so that the second is the oldest
    FitStore(tmp_path / "var" / "fits", limit=int(2.5 * one)).prune()
    Counting.fits.clear()
    ask(tmp_path, shift=1.0)
    ask(tmp_path, shift=3.0)
    assert Counting.fits == []
    ask(tmp_path, shift=2.0)
    assert Counting.fits == [2.0]


def test_who_wants_the_same_fit_waits_for_it(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ask(tmp_path), range(2))
    assert len(Counting.fits) == 1
    np.testing.assert_array_equal(first, second)
