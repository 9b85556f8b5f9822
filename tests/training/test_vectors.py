"""Recommenders that learn from the item vectors of others: who is fitted first, and on what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cuvee import hookimpl
from cuvee.config import Instance, Settings
from cuvee.errors import PluginError
from cuvee.registry import Plugin, Registry
from cuvee.testing import two_tribes
from cuvee.training.fit import fit_models
from cuvee.training.vectors import order_of_fits

from ..toyplugin.toyplugin import ToyConfig, ToyNear, ToyNearConfig, ToyPairs, ToyPopular


class Here:
    @hookimpl
    def register_recommenders(self) -> dict[str, type]:
        return {"popular": ToyPopular, "pairs": ToyPairs, "near": ToyNear}


REGISTRY = Registry.of([Plugin("here", "here", "1", Here())])


def settings(**vectors_of: str | None) -> Settings:
    kinds = {"pairs": "pairs", "popular": "popular"}
    configs: dict[str, ToyConfig] = {name: ToyConfig() for name in kinds}
    configs |= {name: ToyNearConfig(vectors_of=other) for name, other in vectors_of.items()}
    instances = {name: Instance(name=name, plugin=kinds.get(name, "near"), config=c) for name, c in configs.items()}
    return Settings(root=Path(), recommenders=instances, products={})


def silent(_: str) -> Callable[..., None]:
    return lambda done, total, note="": None


def test_each_is_fitted_after_those_whose_vectors_it_needs() -> None:
    chain = settings(a="b", b="c", c="pairs")
    assert order_of_fits(chain, ("a", "popular", "c")) == ("pairs", "c", "b", "a", "popular")


def test_vectors_are_handed_on_and_their_source_is_not_kept_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(ToyPairs, "close", lambda self: closed.append(type(self)))
    data = two_tribes().data
    fitted = fit_models(data, settings(near="pairs"), REGISTRY, ("near",), silent)
    assert list(fitted) == ["near"]
    assert closed == [ToyPairs]
    pairs = fit_models(data, settings(), REGISTRY, ("pairs",), silent)["pairs"].model.item_vectors()
    np.testing.assert_array_equal(fitted["near"].model.counts, pairs @ pairs.T)


def test_a_source_without_vectors_is_named() -> None:
    with pytest.raises(PluginError, match="near is to be fitted on the item vectors of popular, which has none"):
        fit_models(two_tribes().data, settings(near="popular"), REGISTRY, ("near",), silent)
