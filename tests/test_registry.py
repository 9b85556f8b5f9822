"""The registry: who registers what, and what happens when two claim one name."""

from types import SimpleNamespace
from typing import Any

import pytest
from cuvee import builtins, hookimpl
from cuvee.errors import PluginError
from cuvee.registry import Broken, Plugin, Registry


def plugin(distribution: str, **hooks: Any) -> Plugin:
    made = {name: hookimpl(lambda answer=answer: answer) for name, answer in hooks.items()}
    return Plugin(distribution, distribution, "1.0", SimpleNamespace(**made))


class Mine:
    """Stands for a class that a plugin registers."""


def test_names_are_collected_with_their_distribution() -> None:
    registry = Registry.of([plugin("dist-a", register_rules={"mine": Mine})])
    assert registry.rules["mine"].component is Mine
    assert registry.rules["mine"].plugin.distribution == "dist-a"


def test_a_name_registered_twice_names_both_distributions() -> None:
    two = [plugin("dist-a", register_blenders={"mine": Mine}), plugin("dist-b", register_blenders={"mine": Mine})]
    with pytest.raises(PluginError, match=r"dist-a 1\.0 and dist-b 1\.0.*'mine' in blenders.*uninstall"):
        Registry.of(two)


def test_the_engines_own_parts_come_in_by_the_same_hooks() -> None:
    registry = Registry.of([Plugin("engine", "cuvee", "1.0", builtins)])
    assert {"weighted", "rrf"} <= registry.blenders.keys()
    assert {"quantile", "rank", "minmax", "zscore"} <= registry.calibrators.keys()
    assert {"exclude_seen", "filter"} <= registry.rules.keys()
    with pytest.raises(PluginError, match="uninstall"):
        Registry.of([Plugin("engine", "cuvee", "1.0", builtins), plugin("imitator", register_rules={"filter": Mine})])


def test_what_is_not_a_class_is_refused() -> None:
    with pytest.raises(PluginError, match="not as a class"):
        Registry.of([plugin("dist-a", register_recommenders={"mine": 3})])


def test_a_hook_of_unknown_arguments_is_refused() -> None:
    bad = SimpleNamespace(load_history=hookimpl(lambda produkt: None))
    with pytest.raises(PluginError, match="produkt"):
        Registry.of([Plugin("p", "dist-p", "1.0", bad)])


def test_a_plugin_that_cannot_be_imported_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "bad"
        value = "nowhere"
        dist = SimpleNamespace(name="dist-bad", version="2.0")

        def load(self) -> Any:
            raise ImportError("no module named nowhere")

    monkeypatch.setattr("cuvee.registry.entry_points", lambda group: [Point()])
    registry = Registry.load()
    assert registry.broken == (Broken("bad", "dist-bad", "2.0", "ImportError: no module named nowhere"),)
    assert not registry.recommenders


def test_what_is_installed_here_has_no_conflict() -> None:
    registry = Registry.load()
    assert not registry.broken
    assert registry.readers.keys() >= {"movielens", "parquet", "csv"}
