"""Every installed recommender keeps the contract, whoever wrote it; with none installed there is nothing to keep."""

from __future__ import annotations

from cuvee.registry import Registry
from cuvee.testing import RecommenderContract

REGISTRY = Registry.load()


def test_every_installed_plugin_loads() -> None:
    assert not REGISTRY.broken, "\n".join(f"{b.distribution}: {b.problem}" for b in REGISTRY.broken)


for _name, _registered in REGISTRY.recommenders.items():
    if _registered.component.needs_server:
        continue
    _title = "Test" + "".join(word.capitalize() for word in _name.replace("-", "_").split("_"))
    globals()[_title] = type(_title, (RecommenderContract,), {"recommender": _registered.component})
