"""A product's next snapshot is made beside the one in use, asked, and takes its place in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from cuvee.artifacts.snapshot import Snapshot, load_snapshot, replanned
from cuvee.config import Settings
from cuvee.errors import ArtifactError
from cuvee.product import Rate
from cuvee.registry import Registry
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.threads import Threads

__all__ = ["Probed", "Surroundings", "Swapping", "nothing"]

ROUNDS = 5
"""How often a change is made again as the catalogue has grown meanwhile; then everything is loaded anew."""


class Probed(Protocol):
    """What a probe found."""

    @property
    def items(self) -> int:
        """How many items its lists had together."""

    @property
    def failing(self) -> Mapping[str, str]:
        """Sources that fail through a fault of their own, and what they did."""


class Stored(Protocol):
    """What the store's part of a server does when a product changes."""

    async def begin(self, served: Served, settings: Settings) -> Served:
        """A loaded snapshot with the store's catalogue."""

    def begun(self, product: str) -> None:
        """That snapshot is in use."""

    def replan(self, served: Served, made_from: Snapshot, settings: Settings) -> bool:
        """Use a snapshot that was made of the current one; False where that one has changed."""

    def abandon(self, product: str) -> None:
        """The snapshot that began does not come into use."""

    def rate(self, product: str, rate: Rate | None) -> None:
        """Take so many events of each user."""

    def remove(self, product: str) -> None:
        """The product is there no more."""


class Surroundings(Protocol):
    """What of a server follows its products."""

    @property
    def stored(self) -> Stored:
        """The store's part."""

    async def probe(self, settings: Settings, served: Served) -> Probed:
        """Ask a snapshot that is not in use; raises ArtifactError where it cannot answer."""

    def rate(self, product: str, rate: Rate | None) -> None:
        """Grant so many calls."""


def nothing() -> None:
    """There is nothing to be written."""


class Swapping:
    """Of one server process."""

    def __init__(
        self,
        configured: Configured,
        registry: Registry,
        products: Products,
        around: Surroundings,
        retiring: Retiring,
        threads: Threads,
        taken: Callable[[str, Settings], None],
    ) -> None:
        """``threads`` has the one thread in which products are loaded; ``taken`` is told what came into use."""
        self._configured = configured
        self._registry = registry
        self._products = products
        self._around = around
        self._retiring = retiring
        self._threads = threads
        self._taken = taken

    async def first(self, name: str, settings: Settings) -> Snapshot:
        """Load and probe a product that has no snapshot, and take it into use.

        Raises:
            Exception: whatever is wrong, also with a plugin.
        """
        snapshot = await self._threads.submit(load_snapshot, settings, self._registry, name)
        served = await self._made_ready(settings, snapshot)
        try:
            await self._around.probe(settings, served)
        except BaseException:
            self._abandon(served)
            raise
        self._put(served, settings)
        return snapshot

    async def swap(
        self, name: str, settings: Settings, version: str | None, write: Callable[[], object] | None = nothing
    ) -> str:
        """Take settings and a version into use, after ``write``; without one, they are only tried."""
        served = self._products.current(name)
        if served.snapshot.version == version and await self._replan(name, settings, write):
            return "with the same models"
        new = await self._checked(name, settings, version)
        if write is None:
            self._abandon(new)
            return "tried"
        try:
            await self._threads.submit(write)
        except BaseException:
            self._abandon(new)
            raise
        old = self._products.current(name)
        self._put(new, settings)
        self._retiring.later(old.snapshot.models.values())
        return "loaded"

    async def _replan(self, name: str, settings: Settings, write: Callable[[], object] | None) -> bool:
        """Another configuration over the models that are in use; False where it needs others."""
        before, revision = self._configured.of(name), settings.revision_of(name)
        for _ in range(ROUNDS):
            now = self._products.current(name)
            new = await self._threads.submit(replanned, now.snapshot, before, settings, self._registry)
            if new is None:
                return False
            served = replace(now, snapshot=new, revision=revision)
            await self._around.probe(settings, served)
            if write is None:
                return True
            if write is not nothing:
                await self._threads.submit(write)
            write = nothing  # once is enough, whatever grows meanwhile
            if self._around.stored.replan(served, now.snapshot, settings):
                self._retiring.later(one for name, one in now.snapshot.models.items() if name not in new.models)
                self._in_use(name, settings)
                return True
        return False

    async def _checked(self, name: str, settings: Settings, version: str | None) -> Served:
        """A version that was loaded beside the one in use, and answers no worse.

        Raises:
            ArtifactError: it does not load, lacks a model that the one in use has, or fails the probe.
        """
        old = self._products.served.get(name)
        snapshot = await self._threads.submit(load_snapshot, settings, self._registry, name, version)
        if snapshot.lacking - (old.snapshot.lacking if old is not None else frozenset()):
            snapshot.close()
            raise ArtifactError("; ".join(snapshot.problems))
        served = await self._made_ready(settings, snapshot)
        try:
            await self._compare(settings, served, old)
        except BaseException:
            self._abandon(served)
            raise
        return served

    async def _compare(self, settings: Settings, served: Served, old: Served | None) -> None:
        """Probe a snapshot.

        Raises:
            ArtifactError: sources fail in it that do not fail in the one in use, or it cannot answer at all.
        """
        found = await self._around.probe(settings, served)
        if old is None or (found.items and not found.failing):
            return
        snapshot = served.snapshot
        before = await self._around.probe(self._configured.of(snapshot.product.name), old)
        worse = {one: did for one, did in found.failing.items() if one not in before.failing}
        if worse or (before.items and not found.items):
            told = "; ".join(f"{one}: {did}" for one, did in worse.items()) or "all lists are empty"
            raise ArtifactError(f"version {snapshot.version} of {snapshot.product.name!r} fails its probe: {told}")

    def _abandon(self, served: Served) -> None:
        """A snapshot that does not come into use."""
        self._around.stored.abandon(served.snapshot.product.name)
        served.snapshot.close()

    async def _made_ready(self, settings: Settings, snapshot: Snapshot) -> Served:
        """A loaded snapshot, ready to be asked; closed where that fails."""
        revision = settings.revision_of(snapshot.product.name)
        try:
            served = await self._threads.submit(Served.of, snapshot, revision)
            return await self._around.stored.begin(served, settings)
        except BaseException:
            snapshot.close()
            raise

    def _put(self, served: Served, settings: Settings) -> None:
        """Take a snapshot into use."""
        name = served.snapshot.product.name
        self._products.put(served)
        self._around.stored.begun(name)
        self._in_use(name, settings)

    def _in_use(self, name: str, settings: Settings) -> None:
        product, before = settings.products[name], self._configured.products.get(name)
        self._configured.put(name, settings)
        if before is None or before.rate != product.rate:
            self._around.rate(name, product.rate)
        if before is None or before.events.user_rate != product.events.user_rate:
            self._around.stored.rate(name, product.events.user_rate)
        self._taken(name, settings)
