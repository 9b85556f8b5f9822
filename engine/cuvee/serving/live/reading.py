"""The configuration's files as they are now, taken apart by product: which are right, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cuvee.config import Files, Settings, apart, read_settings
from cuvee.errors import Mistake
from cuvee.registry import Registry
from cuvee.serving.live.configured import as_started, restart_for
from cuvee.serving.live.last_good import LastGood

__all__ = ["Reading", "read", "read_with_last_good"]


@dataclass(frozen=True)
class Reading:
    """What was read at one moment."""

    files: Files
    settings: Mapping[str, Settings]
    """Product -> its new settings, where its file and ``cuvee.toml`` are right."""
    wrong: Mapping[str, tuple[Mistake, ...]] = field(default_factory=dict)
    """Product -> the mistakes of its file."""
    server: tuple[Mistake, ...] = ()
    """The mistakes of ``cuvee.toml``; where it has any, no product gets new settings."""
    restart: tuple[str, ...] = ()
    """Paths of ``cuvee.toml`` whose new values only a restart takes up."""


def read(files: Files, registry: Registry, started: Settings) -> Reading:
    """Check files. Each product is right or wrong as a whole; one that is wrong does not hold up the others."""
    settings, mistakes = read_settings(files, registry)
    of_product, of_server = apart(files, mistakes)
    if of_server or settings is None:
        return Reading(files, {}, of_product, tuple(of_server))
    fixed = as_started(settings, started)
    good = {name: fixed for name in settings.products if name not in of_product}
    return Reading(files, good, of_product, (), restart_for(settings, started))


def read_with_last_good(files: Files, registry: Registry, started: Settings, kept: LastGood) -> Reading:
    """The same at start: products that are wrong now get the files that they were last served under."""
    found = read(files, registry, started)
    good = dict(found.settings)
    for name in kept.products:
        if name in good or (name not in files.products and not found.server):
            continue
        before = kept.get(name, files)
        settings = read(before, registry, started).settings.get(name) if before is not None else None
        if settings is not None:
            good[name] = settings
    return Reading(files, good, found.wrong, found.server, found.restart)
