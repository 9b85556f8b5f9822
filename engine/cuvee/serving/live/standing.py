"""How the newest configuration and models of each product stand on this replica: in use, or refused and why."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from cuvee.errors import ConfigError, CuveeError, Mistake
from cuvee.serving.telemetry.figures import Figures

__all__ = ["EVERYTHING", "Standing", "Standings", "mistakes_of"]

log = structlog.get_logger(__name__)

EVERYTHING = "-"
"""Stands for ``cuvee.toml`` among the products."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until what was refused is tried again as it is; doubled with each time."""


@dataclass(slots=True)
class Standing:
    """Of one product."""

    loaded: float = 0.0
    """When what is in use came into use, in seconds since 1970; 0: nothing is."""
    wrong: tuple[Mistake, ...] = ()
    """The mistakes of its file as it is now."""
    failed: tuple[Mistake, ...] = ()
    """Why its newest right settings, or its newest models, could not be taken into use."""
    refused_at: float = 0.0
    """When either was found, in seconds since 1970."""
    tried: tuple[str, str | None] | None = None
    """The revision and version that failed."""
    again: float = 0.0
    """When they are tried again (monotonic)."""
    pause: float = FIRST_PAUSE

    @property
    def refused(self) -> tuple[Mistake, ...]:
        """What keeps the newest from being in use; empty: it is in use."""
        return (*self.wrong, *self.failed)


class Standings:
    """Of one server process."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._all: dict[str, Standing] = {EVERYTHING: Standing()}
        self.restart: tuple[str, ...] = ()
        """Paths of ``cuvee.toml`` whose new values only a restart takes up."""
        figures.watch(
            "cuvee_config_refused", lambda: {(name,): float(bool(one.refused)) for name, one in self._all.items()}
        )
        figures.watch(
            "cuvee_config_loaded_timestamp_seconds",
            lambda: {(name,): one.loaded for name, one in self._all.items() if one.loaded},
        )
        figures.watch("cuvee_config_restart_needed", lambda: {(): float(bool(self.restart))})

    def of(self, product: str) -> Standing:
        """A product's; :data:`EVERYTHING` is that of ``cuvee.toml``."""
        return self._all.setdefault(product, Standing())

    @property
    def names(self) -> tuple[str, ...]:
        """The products that have one."""
        return tuple(sorted(self._all.keys() - {EVERYTHING}))

    def keep(self, products: Collection[str]) -> None:
        """Forget all products but these."""
        for name in self._all.keys() - {EVERYTHING, *products}:
            del self._all[name]

    @property
    def refused(self) -> bool:
        """Whether anything new is not in use."""
        return any(one.refused for one in self._all.values())

    def taken(self, product: str) -> None:
        """What is newest has come into use."""
        one = self.of(product)
        one.loaded = time.time()
        self.settled(product)
        self._figures.count("cuvee_config_changes_total", product, "taken")

    def settled(self, product: str) -> None:
        """The newest right settings and the newest models are in use."""
        one = self.of(product)
        one.failed, one.tried, one.pause = (), None, FIRST_PAUSE

    def wrong(self, product: str, mistakes: tuple[Mistake, ...], *, served: bool = True) -> None:
        """What is wrong with a file as it is now; nothing, perhaps. ``served``: an earlier one is in use."""
        one = self.of(product)
        if one.wrong and not mistakes:
            log.info("the configuration is right again", product=product)
        elif mistakes and mistakes != one.wrong:
            self._tell(product, one, mistakes, served=served)
        one.wrong = mistakes

    def failed(self, product: str, mistakes: tuple[Mistake, ...], tried: tuple[str, str | None]) -> None:
        """A revision and version could not be taken into use; the last good ones stay."""
        one = self.of(product)
        if mistakes != one.failed:
            self._tell(product, one, mistakes)
        if one.tried != tried:
            one.pause = FIRST_PAUSE
        one.failed, one.tried, one.again = mistakes, tried, time.monotonic() + one.pause
        one.pause = min(2 * one.pause, LONGEST_PAUSE)

    def _tell(self, product: str, one: Standing, mistakes: tuple[Mistake, ...], *, served: bool = True) -> None:
        one.refused_at = time.time()
        self._figures.count("cuvee_config_changes_total", product, "refused")
        if not served:
            told = "\n".join(map(str, mistakes))
            log.error(
                "product not serving", product=product, problem=told, hint="it is tried again when its file changes"
            )
            return
        what = "cuvee.toml" if product == EVERYTHING else "a change of the product"
        log.error(f"{what} cannot be used, the last good one stays", product=product, problems=list(map(str, mistakes)))


def mistakes_of(problem: Exception, where: str) -> tuple[Mistake, ...]:
    """An error as mistakes; ``where`` is what it is about."""
    if isinstance(problem, ConfigError):
        return problem.mistakes
    return (Mistake(where, "", str(problem) if isinstance(problem, CuveeError) else repr(problem)),)
