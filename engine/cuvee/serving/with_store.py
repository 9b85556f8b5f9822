"""The parts of a server that need a store: two services, and reading users for each request."""

from __future__ import annotations

import asyncio

import grpc.aio
import structlog

from cuvee.artifacts.snapshot import Snapshot
from cuvee.config import Settings
from cuvee.data.store import open_store
from cuvee.data.store.retention import prune
from cuvee.product import Rate
from cuvee.registry import Registry
from cuvee.serving.catalogue.service import CatalogServicer
from cuvee.serving.events.service import EventServicer
from cuvee.serving.health import Health
from cuvee.serving.lists.exposures import Exposures
from cuvee.serving.lists.users import StoredUsers
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.hiding import without_hidden
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.off_loop import StoreCalls
from cuvee.serving.telemetry.figures import Figures
from cuvee.v1 import catalog_pb2, catalog_pb2_grpc, events_pb2, events_pb2_grpc

__all__ = ["StoreServices"]


log = structlog.get_logger(__name__)

FOLLOW = 30.0
"""Seconds between two reads of the forgotten users; while the store can be reached, requests check themselves."""


LOOK = 1.0
"""Seconds between two checks that the store can be reached."""
PRUNE = 3600.0
"""Seconds between two deletions of events beyond their product's retention time."""


class StoreServices:
    """The store of a server, and the parts that use it."""

    def __init__(
        self,
        configured: Configured,
        registry: Registry,
        products: Products,
        leaving: asyncio.Event,
        figures: Figures,
        *,
        retiring: Retiring,
        prunes: bool = True,
    ) -> None:
        """Open the configured store; where ``store.url`` is empty, every method does nothing.

        ``prunes``: old events are deleted by this process; of several workers one does that.

        Raises:
            OperatorError: it cannot be one of ours, or its tables are of another version.
        """
        self.users: StoredUsers | None = None
        self.exposures: Exposures | None = None
        self.growth: Growth | None = None
        self.names: tuple[str, ...] = ()
        """Full names of the services."""
        settings = configured.started
        self._products = products
        self._configured = configured
        self._prunes = prunes
        self._store = open_store(settings)
        self._reached = False
        if self._store is None:
            return
        slots = min(settings.store.pool, settings.server.limits.threads)
        figures.watch("cuvee_store_up", lambda: {(): self._reached})
        self.users = StoredUsers(self._store, slots, figures)
        self.exposures = Exposures(self._store, figures)
        self._calls = StoreCalls(slots, 2 * settings.store.timeout, figures)
        rates = {name: product.events.user_rate for name, product in settings.products.items()}
        self._events = EventServicer(self._store, products, self._calls, leaving, figures, rates)
        self.growth = Growth(self._store, settings.store.refresh, registry, products, self._calls, retiring)
        self._catalog = CatalogServicer(configured, self._store, products, self._calls, self.growth, self.users)
        self.names = (
            events_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,
            catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
        )

    def attach(self, server: grpc.aio.Server) -> None:
        """Answer on a server that was not started yet."""
        if self._store is not None:
            events_pb2_grpc.add_EventServiceServicer_to_server(self._events, server)
            catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self._catalog, server)

    async def begin(self, served: Served, settings: Settings) -> Served:
        """A newly loaded snapshot with the store's catalogue; without a store, with the imported one."""
        if self.growth is None:
            return without_hidden(served)
        await self._follow(served.snapshot.product.name)
        return await self.growth.begin(served, settings)

    def begun(self, product: str) -> None:
        """Called when the product's snapshot is in use."""
        if self.growth is not None:
            self.growth.begun(product)

    def replan(self, served: Served, made_from: Snapshot, settings: Settings) -> bool:
        """Use a snapshot made of the current one by another configuration; False where that one has changed."""
        if self.growth is not None:
            return self.growth.replan(served, made_from, settings)
        now = self._products.served[served.snapshot.product.name]
        if now is None or now.snapshot.data is not made_from.data:
            return False
        self._products.put(without_hidden(served))
        return True

    def abandon(self, product: str) -> None:
        """The snapshot that began does not come into use."""
        if self.growth is not None:
            self.growth.abandon(product)

    def rate(self, product: str, rate: Rate | None) -> None:
        """Take so many events of each user of a product from now on."""
        if self._store is not None:
            self._events.rate(product, rate)

    def remove(self, product: str) -> None:
        """The product is there no more."""
        if self.growth is not None:
            self.growth.remove(product)

    async def run(self, health: Health) -> None:
        """Follow the catalogue and the forgotten users, and report the store's health, until cancelled."""
        if self.growth is not None:
            await asyncio.gather(
                self.growth.run(), self._keep_telling(health), self._keep_following(), self._keep_pruning()
            )

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW)
            await self._follow(*self._products.served)

    async def _keep_telling(self, health: Health) -> None:
        """Report the store's services as healthy while it can be reached; recommendations go on without it."""
        before: bool | None = None
        while self._store is not None:
            try:
                await self._calls.ask(self._store.database.check)
                there = True
            except Exception as problem:  # noqa: BLE001 - whatever it is, the store cannot be asked
                there = False
                if before is not False:
                    log.error("the store cannot be asked", problem=repr(problem))  # noqa: TRY400
            if there != before:
                if there:
                    await health.serving(*self.names)
                else:
                    await health.not_serving(*self.names, why="STORE_UNREACHABLE")
            self._reached = before = there
            await asyncio.sleep(LOOK)

    async def _keep_pruning(self) -> None:
        """Delete page by page, so that other writers get their turns in between."""
        while self._prunes and self._store is not None:
            pages = prune(self._store, self._configured.products)
            try:
                while (page := await self._calls.ask(lambda: next(pages, None))) is not None:  # noqa: B023
                    log.info("old events deleted", product=page[0], count=page[1])
            except Exception as problem:  # noqa: BLE001 - it is tried again, and the other tasks go on
                log.warning("old events are still there", problem=repr(problem))
            await asyncio.sleep(PRUNE)

    async def _follow(self, *products: str) -> None:
        try:
            if self.users is not None:
                await self.users.follow(*products)
        except Exception as problem:  # noqa: BLE001 - as below
            log.warning("forgotten users cannot be read", problem=repr(problem))

    async def drain(self, seconds: float) -> None:
        """Wait for writes that no request waits for, at most so long."""
        if self.exposures is not None:
            await self.exposures.drain(seconds)

    def close(self) -> None:
        """Stop idle threads, and close the connections."""
        if self._store is None or self.users is None or self.exposures is None or self.growth is None:
            return
        self.exposures.close()
        self._events.close()
        self.growth.close()
        self._calls.close()
        self.users.close()
        self._store.close()
