"""Products are loaded at start, and loaded anew when their files or their models change, while they go on answering.

Each process looks at the files and versions for itself, so that all workers and replicas come to the same. What is
new is loaded and asked beside what is in use, and takes its place in one step: a request that has begun ends on
the snapshot that it began with. What is wrong, does not load or fails the probe is refused, and the last good stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cuvee.artifacts.choice import wanted
from cuvee.artifacts.versions import ArtifactRoot
from cuvee.config import Files, Settings
from cuvee.errors import ConfigError, CuveeError, OperatorError
from cuvee.registry import Registry
from cuvee.serving.health import CONFIGURATION, REFUSED, Health
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.last_good import LastGood
from cuvee.serving.live.products import Products
from cuvee.serving.live.reading import Reading, read, read_with_last_good
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.live.standing import EVERYTHING, Standings, mistakes_of
from cuvee.serving.live.swapping import Surroundings, Swapping
from cuvee.serving.status import code_of
from cuvee.serving.threads import Threads

__all__ = ["Reloading"]

log = structlog.get_logger(__name__)

LOOK = 0.2
"""Seconds between two looks at the files. They are read when two looks found them the same: nobody is writing."""
REMOTE = 5.0
"""Seconds between two looks for versions where the models lie somewhere else than on a disk."""
RETRY, SELDOM = 5.0, 60.0
"""Seconds until a product that could not be loaded is tried again: at first, and at most."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """A product that could not be loaded."""

    problem: Exception
    settings: Settings
    again: float
    """When it is tried again (monotonic)."""
    pause: float


class Reloading:
    """Of one server process."""

    def __init__(
        self,
        configured: Configured,
        files: Files | None,
        registry: Registry,
        products: Products,
        health: Health,
        around: Surroundings,
        standings: Standings,
        retiring: Retiring,
        kept: LastGood,
    ) -> None:
        """``files`` are those of the configuration; without them only new fits are taken up."""
        self._configured = configured
        self._files = files
        self._registry = registry
        self._products = products
        self._health = health
        self._around = around
        self.standings = standings
        self._retiring = retiring
        self._kept = kept
        self.root = ArtifactRoot.of(configured.started)
        self._threads = Threads("load", 1)
        self._swapping = Swapping(configured, registry, products, around, retiring, self._threads, self._taken)
        self._turn = asyncio.Lock()
        self._wanted: dict[str, Settings] = {}
        self._texts: Files | None = None
        self._seen = self._read_at = files.signature() if files is not None else ()
        self._versions: dict[str, tuple[object, float, str | None]] = {}
        self._failed: dict[str, _Failed] = {}
        """Products without a snapshot."""

    @property
    def files(self) -> Files | None:
        """The configuration's files, as they were read last."""
        return self._texts or self._files

    def settings_of(self, product: str) -> Settings | None:
        """Those that a product is served under, or is to be as soon as it can be loaded; None: its file is wrong."""
        served = self._products.served.get(product) is not None
        return self._configured.of(product) if served else self._wanted.get(product)

    async def all(self) -> None:
        """Load every product once; each answers as soon as it is ready.

        Raises:
            OperatorError: none of them can be served.
        """
        async with self._turn:
            self._wanted = dict.fromkeys(self._configured.products, self._configured.started)
            if self._files is not None:
                files, started = Files.read(self._files.file), self._configured.started
                self._seen = self._read_at = files.signature()
                await self._note(
                    await self._threads.submit(read_with_last_good, files, self._registry, started, self._kept)
                )
            for name in list(self._wanted):
                await self._first(name)
            if self._failed and len(self._failed) == len(self._wanted):
                raise next(iter(self._failed.values())).problem
            for name in self._failed:
                self._tell(name)
            await self._report()

    async def run(self) -> None:
        """Follow files and versions, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except Exception:
                log.exception("the configuration cannot be followed")

    async def look(self, *, at_once: bool = False) -> None:
        """Take up what has changed; ``at_once``: also files that may still be written to."""
        async with self._turn:
            found = await self._threads.submit(self._read, at_once)
            if found is not None:
                await self._note(found)
            for name in list(self._wanted):
                await self._follow(name)
            await self._report()

    def _read(self, at_once: bool) -> Reading | None:
        """The files, where they have changed; in a thread."""
        if self._files is None:
            return None
        now = (self._texts or self._files).signature()
        settled, self._seen = now == self._seen or at_once, now
        if not settled or now == self._read_at:
            return None
        files = Files.read(self._files.file)
        self._read_at = now
        return read(files, self._registry, self._configured.started)

    async def _note(self, found: Reading) -> None:
        """Keep what was read: settings to be taken up, and mistakes."""
        standings = self.standings
        self._texts = found.files
        standings.wrong(EVERYTHING, found.server)
        for name in found.files.products:
            usable = name in self._wanted or name in found.settings
            standings.wrong(name, found.wrong.get(name, ()), served=usable)
            if name in found.wrong and not usable:
                self._products.add(name)
                self._products.fail(name, ConfigError.reason)
                await self._health.not_serving(name, why=ConfigError.reason)
        if found.restart and found.restart != standings.restart:
            log.warning("cuvee.toml has values that only a restart takes up", keys=found.restart)
        standings.restart = found.restart
        for name, settings in found.settings.items():
            if name not in self._wanted:
                self._products.add(name)
                await self._health.not_serving(name, why="LOADING")
            self._wanted[name] = settings
        if not found.server:
            for name in self._products.served.keys() - found.files.products.keys():
                await self._remove(name)
            standings.keep(found.files.products.keys())

    async def _remove(self, name: str) -> None:
        """A product's file is gone."""
        served = self._products.remove(name)
        self._around.stored.remove(name)
        self._around.rate(name, None)
        self._wanted.pop(name, None)
        self._failed.pop(name, None)
        self._versions.pop(name, None)
        self._configured.remove(name)
        self._kept.put(name, None)
        if served is not None:
            self._retiring.later(served.snapshot.models.values())
        await self._health.remove(name)
        log.info("product removed", product=name)

    def _taken(self, name: str, settings: Settings) -> None:
        """Something has come into use."""
        self.standings.taken(name)
        right = not self.standings.of(name).wrong and not self.standings.of(EVERYTHING).wrong
        if right and self._texts is not None and self._wanted.get(name) is settings:
            self._kept.put(name, self._texts)

    # a product without a snapshot

    async def _first(self, name: str) -> None:
        settings = self._wanted[name]
        try:
            snapshot = await self._swapping.first(name, settings)
        except Exception as problem:  # noqa: BLE001 - a plugin may raise anything; the others are served
            before = self._failed.get(name)
            pause = RETRY if before is None else min(2 * before.pause, SELDOM)
            self._failed[name] = _Failed(problem, settings, time.monotonic() + pause, pause)
            if name not in self._configured.products or (before is not None and str(before.problem) != str(problem)):
                self._tell(name)
            why = code_of(problem)[1]
            self._products.fail(name, why)
            await self._health.not_serving(name, why=why)
            return
        self._failed.pop(name, None)
        await self._health.serving(name)
        log.info("product ready", product=name, version=snapshot.version, problems=snapshot.problems)

    def _tell(self, name: str) -> None:
        problem = self._failed[name].problem
        told = str(problem) if isinstance(problem, CuveeError) else repr(problem)
        log.error("product not serving", product=name, problem=told, hint="it is tried again")

    # a product that answers

    async def _follow(self, name: str) -> None:
        """Take up a product's newest settings and version."""
        served, settings = self._products.served.get(name), self._wanted[name]
        if served is None:
            failed = self._failed.get(name)
            if failed is None or failed.again < time.monotonic() or failed.settings is not settings:
                await self._first(name)
            return
        standing = self.standings.of(name)
        key: tuple[str, str | None]
        try:
            key = settings.revision_of(name), await self._version(name)
        except Exception as problem:  # noqa: BLE001 - a remote root may raise anything
            self.standings.failed(name, mistakes_of(problem, f"product {name}"), (served.revision, None))
            return
        if key == (served.revision, served.snapshot.version) or key[1] is None:
            if standing.failed:
                self.standings.settled(name)
            if self._configured.of(name) is not settings:
                self._configured.put(name, settings)
            return
        if key == standing.tried and time.monotonic() < standing.again:
            return
        await self._change(name, settings, key)

    async def _version(self, name: str) -> str | None:
        """The version that is to answer."""
        before = self._versions.get(name)
        stamp = self.root.stamp(name)
        now = time.monotonic()
        if before is not None and (before[0] == stamp if stamp is not None else now < before[1]):
            return before[2]
        found = await self._threads.submit(wanted, self.root, name)
        self._versions[name] = stamp, now + REMOTE, found
        return found

    async def _change(self, name: str, settings: Settings, key: tuple[str, str | None]) -> None:
        began = time.monotonic()
        try:
            how = await self._swapping.swap(name, settings, key[1])
        except Exception as problem:  # noqa: BLE001 - the last good one stays, and it is tried again
            self.standings.failed(name, mistakes_of(problem, f"product {name}"), key)
            return
        log.info("product changed", product=name, revision=key[0], version=key[1], how=how,
                 seconds=round(time.monotonic() - began, 3))  # fmt: skip

    async def use_version(self, name: str, version: str, write: Callable[[], object] | None) -> str:
        """Load a version, probe it, have ``write`` choose it, and swap it in; the version that answered before.

        Without ``write`` it is only tried.

        Raises:
            ArtifactError: it does not load or fails its probe; nothing has changed.
        """
        async with self._turn:
            before = self._products.current(name).snapshot.version
            if before != version:
                await self._swapping.swap(name, self._wanted[name], version, write)
                self.standings.settled(name)
            elif write is not None:
                await self._threads.submit(write)
            self._versions.pop(name, None)
            await self._report()
            return before

    async def use_file(self, name: str, content: bytes, write: Callable[[], object] | None) -> tuple[str, str]:
        """Check a product's new file, probe it, have ``write`` put it in place, and swap it in.

        Returns the revision that answers now and the one before. Without ``write`` it is only tried.

        Raises:
            ConfigError: it has mistakes; nothing has changed.
            ArtifactError: models that it needs are not there, or it fails its probe; nothing has changed.
        """
        async with self._turn:
            if self._files is None:
                raise OperatorError("this server was started without files")
            now = await self._threads.submit(Files.read, self._files.file)
            files = now.among({**now.products, name: content})
            found = await self._threads.submit(read, files, self._registry, self._configured.started)
            if found.server or name in found.wrong:
                raise ConfigError(found.server or found.wrong[name])
            settings, served = found.settings[name], self._products.current(name)
            revision, before = settings.revision_of(name), served.revision
            if revision != before:
                await self._swapping.swap(name, settings, served.snapshot.version, write)
                self.standings.settled(name)
            elif write is not None:
                await self._threads.submit(write)
            if write is not None:
                self._wanted[name] = settings
                self.standings.wrong(name, ())
            await self._report()
            return revision, before

    async def _report(self) -> None:
        refused, told = self.standings.refused, self._health.why(CONFIGURATION)
        if refused and told != REFUSED:
            await self._health.not_serving(CONFIGURATION, why=REFUSED)
        elif not refused and told:
            await self._health.serving(CONFIGURATION)

    def close(self) -> None:
        """Stop the thread."""
        self._threads.close()
