"""The settings under which each product is served; a product may have newer ones than another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cuvee.config import Settings
from cuvee.product import Product

__all__ = ["FIXED", "Configured", "as_started", "restart_for"]

FIXED = ("data", "artifacts", "artifact_cache", "artifact_cache_bytes", "server", "store", "privacy")
"""What of ``cuvee.toml`` is read at start alone: sockets, pools and connections are made of it."""


class Configured:
    """Of one server process."""

    def __init__(self, settings: Settings) -> None:
        self.started = settings
        """Those that the process was started with: of the server, the store and where things lie, these hold."""
        self._settings: dict[str, Settings] = dict.fromkeys(settings.products, settings)

    def of(self, product: str) -> Settings:
        """The settings of a product."""
        return self._settings.get(product, self.started)

    def put(self, product: str, settings: Settings) -> None:
        """Use other settings for a product from now on."""
        self._settings[product] = settings

    def remove(self, product: str) -> None:
        """Forget a product."""
        self._settings.pop(product, None)

    @property
    def products(self) -> Mapping[str, Product]:
        """The configured products as they are served."""
        return {name: settings.products[name] for name, settings in self._settings.items()}


def as_started(settings: Settings, started: Settings) -> Settings:
    """New settings, but for what is read at start alone."""
    return settings.model_copy(update={name: getattr(started, name) for name in FIXED})


def restart_for(settings: Settings, started: Settings) -> tuple[str, ...]:
    """The paths in ``cuvee.toml`` whose new values only a restart takes up."""
    found = []
    for name in FIXED:
        before, after = getattr(started, name), getattr(settings, name)
        if before != after:
            tables = hasattr(before, "model_dump")
            found += list(_differing(before.model_dump(), after.model_dump(), name)) if tables else [name]
    return tuple(found)


def _differing(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            yield from _differing(before.get(key), after.get(key), f"{path}.{key}")
    elif before != after:
        yield path
