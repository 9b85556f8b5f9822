"""The installed plugins: entry points in the group ``cuvee``, asked once at start for what they register.

The registry is a value that is passed, never a global. A plugin that cannot be imported does not
stop the others: it is kept in :attr:`Registry.broken` and shown by ``cuvee plugins``; only a
configuration that needs it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar

import pluggy

from cuvee import hookspecs
from cuvee.errors import PluginError

__all__ = ["Broken", "Plugin", "Registered", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point that was loaded, and the distribution that it came with."""

    name: str
    distribution: str
    version: str
    module: ModuleType | object


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """A named class, and the plugin that registered it."""

    name: str
    component: type[T]
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point that could not be loaded, and why."""

    name: str
    distribution: str
    version: str
    problem: str


def _load(points: Iterable[EntryPoint]) -> tuple[list[Plugin], list[Broken]]:
    loaded, broken = [], []
    for point in sorted(points, key=lambda p: (p.dist.name if p.dist else "", p.name)):
        distribution = point.dist.name if point.dist else point.value
        version = point.dist.version if point.dist else ""
        try:
            loaded.append(Plugin(point.name, distribution, version, point.load()))
        except Exception as problem:  # noqa: BLE001 - a plugin's import may raise anything; it is shown, not hidden
            broken.append(Broken(point.name, distribution, version, f"{type(problem).__name__}: {problem}"))
    return loaded, broken


@dataclass(frozen=True)
class Registry:
    """Named classes by kind, with their origin."""

    plugins: tuple[Plugin, ...]
    broken: tuple[Broken, ...]
    recommenders: Mapping[str, Registered[Any]]
    calibrators: Mapping[str, Registered[Any]]
    blenders: Mapping[str, Registered[Any]]
    rules: Mapping[str, Registered[Any]]
    readers: Mapping[str, Registered[Any]]
    hooks: pluggy.HookRelay = field(repr=False)

    @classmethod
    def load(cls) -> Registry:
        """Load every installed plugin.

        Raises:
            PluginError: two plugins register one name, or a hook's answer is not what it promises.
        """
        return cls.of(*_load(entry_points(group=hookspecs.PROJECT)))

    @classmethod
    def of(cls, plugins: Iterable[Plugin], broken: Iterable[Broken] = ()) -> Registry:
        """Build from given plugins: what tests and embedders use.

        Raises:
            PluginError: as in :meth:`load`.
        """
        plugins = tuple(plugins)
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        by_module: dict[int, Plugin] = {}
        for plugin in plugins:
            if id(plugin.module) in by_module:
                continue
            by_module[id(plugin.module)] = plugin
            try:
                manager.register(plugin.module, name=f"{plugin.distribution}:{plugin.name}")
            except (ValueError, pluggy.PluginValidationError) as problem:
                raise PluginError(f"plugin {plugin.name!r} of {plugin.distribution}: {problem}") from problem

        def collect(kind: str) -> dict[str, Registered[Any]]:
            found: dict[str, Registered[Any]] = {}
            for implementation in getattr(manager.hook, f"register_{kind}").get_hookimpls():
                plugin = by_module[id(implementation.plugin)]
                for name, component in implementation.function().items():
                    if not isinstance(component, type):
                        raise PluginError(f"{plugin.distribution} registers {name!r} in {kind}, but not as a class")
                    if other := found.get(name):
                        raise PluginError(
                            f"both {other.plugin.distribution} {other.plugin.version} and {plugin.distribution} "
                            f"{plugin.version} register {name!r} in {kind}; uninstall one of them"
                        )
                    found[name] = Registered(name, component, plugin)
            return dict(sorted(found.items()))

        return cls(
            plugins=plugins,
            broken=tuple(broken),
            recommenders=collect("recommenders"),
            calibrators=collect("calibrators"),
            blenders=collect("blenders"),
            rules=collect("rules"),
            readers=collect("readers"),
            hooks=manager.hook,
        )
