"""Recommenders that learn from the item vectors of others: the order of fitting, and passing vectors on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cuvee.config import Instance, Settings
from cuvee.data.dataset import Dataset
from cuvee.errors import PluginError
from cuvee.recommender import Floats, Recommender

__all__ = ["order_of_fits", "with_vectors"]


def order_of_fits(settings: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    """The named instances and those whose vectors they need, each after the ones that it depends on."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        # load_settings has refused circles
        for other in settings.recommenders[name].config.needs_vectors_of:
            add(other)
        order.setdefault(name)

    for name in names:
        add(name)
    return tuple(order)


def with_vectors(data: Dataset, instance: Instance, models: Mapping[str, Recommender[Any]]) -> Dataset:
    """The dataset with the item vectors that an instance needs, from models that are fitted already.

    Raises:
        PluginError: one of these has no vectors.
    """
    found: dict[str, Floats] = {}
    for name in instance.config.needs_vectors_of:
        vectors = models[name].item_vectors()
        if vectors is None:
            raise PluginError(f"{instance.name} is to be fitted on the item vectors of {name}, which has none")
        found[name] = vectors
    return replace(data, vectors=found) if found else data
