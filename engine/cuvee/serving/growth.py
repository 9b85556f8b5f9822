"""What is written to the catalogue reaches the lists of every replica, without a refit.

Each server looks for new revisions of its products' items. What must not be shown any more is
hidden at once. For the rest, the models are loaded anew beside the catalogue as it is now, and the
snapshot is swapped.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

import structlog

from cuvee.config import Settings
from cuvee.data.catalog import Entities
from cuvee.data.store import Store
from cuvee.data.store.overlay import hidden, overlaid
from cuvee.data.store.rows import ItemRow
from cuvee.errors import CuveeError, NotReady
from cuvee.recommender import Bools
from cuvee.registry import Registry
from cuvee.serving.products import Products, Served
from cuvee.serving.runs import BULK_PATIENCE
from cuvee.serving.store_calls import StoreCalls
from cuvee.serving.threads import Threads
from cuvee.training.snapshot import Snapshot, grown

__all__ = ["Growth"]

log = structlog.get_logger(__name__)

REST = 4
"""After loading models anew, so many times as long nothing is: writers in bulk cannot keep a server busy with it."""
LINGER = 5.0
"""Seconds for which a replaced snapshot is kept for those who still use it, on top of the longest call."""


@dataclass(slots=True)
class _Product:
    """How far one product has come."""

    base: Snapshot
    """As it was loaded: what was imported."""
    items: Entities
    """The catalogue as it is now."""
    shown: Entities
    """The catalogue that the current snapshot has."""
    may: Bools | None
    """bool[N]: what the rules let show, of ``shown``."""
    deleted: set[str] = field(default_factory=set)
    revision: int = 0
    not_before: float = 0.0
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Growth:
    """The products' catalogues as they are now, and their snapshots that follow."""

    def __init__(
        self, store: Store, settings: Settings, registry: Registry, products: Products, calls: StoreCalls
    ) -> None:
        self._store = store
        self._settings = settings
        self._registry = registry
        self._products = products
        self._calls = calls
        self._threads = Threads("growing", 1)
        self._states: dict[str, _Product] = {}
        self._wake = asyncio.Event()
        self._retired: list[Snapshot] = []

    async def begin(self, served: Served) -> Served:
        """A snapshot that was just loaded, as the store has its catalogue; as it is where the store is away."""
        snapshot = served.snapshot
        items = snapshot.data.catalog.items
        state = _Product(snapshot, items, items, snapshot.plan.eligible)
        self._states[snapshot.product.name] = state
        try:
            await self._read(state)
            new = await self._made(state, served)
        except Exception as problem:  # noqa: BLE001 - what was loaded goes on; it is tried again soon
            log.warning(
                "the stored catalogue is left out for now", product=snapshot.product.name, problem=_told(problem)
            )
            return served
        if new is not served:
            snapshot.close()
        return new

    def begun(self, product: str) -> None:
        """The product's snapshot answers now: what was written meanwhile holds for it, too."""
        self._hide(self._states[product])

    def imported(self, product: str) -> Entities:
        """A product's items as they were imported."""
        return self._state(product).base.data.catalog.items

    async def current(self, product: str) -> tuple[Entities, set[str]]:
        """A product's items as they are in the store at this moment, and the ids of deleted ones.

        Raises:
            NotReady: its snapshot is not loaded yet.
            UnavailableError: the store cannot be reached.
        """
        state = self._state(product)
        await self._look(state)
        return state.items, state.deleted

    def _state(self, product: str) -> _Product:
        if product not in self._states:
            raise NotReady(f"product {product!r} is being loaded; try again in a moment")
        return self._states[product]

    async def run(self) -> None:
        """Look for what others wrote, until cancelled."""
        failing: set[str] = set()
        while True:
            self._wake.clear()
            pause = self._settings.store.refresh
            for name, state in list(self._states.items()):
                try:
                    await self._look(state)
                    pause = min(pause, await self._grow(state))
                    failing.discard(name)
                except Exception as problem:  # noqa: BLE001 - it is tried again, and the last good goes on
                    if name not in failing:
                        log.warning("the catalogue cannot be followed", product=name, problem=_told(problem))
                    failing.add(name)
            try:
                async with asyncio.timeout(max(pause, 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self, state: _Product) -> None:
        """Read what is new; hide at once what must not be shown any more."""
        if await self._read(state):
            self._hide(state)
            self._wake.set()

    def _hide(self, state: _Product) -> None:
        served = self._products.served[state.base.product.name]
        if served is not None:
            gone = hidden(state.items, state.deleted)[: len(state.shown)]
            self._products.put(_allowing(served, _both(state.may, gone)))

    async def _read(self, state: _Product) -> bool:
        """Take in the rows of newer revisions; whether there were any."""
        name = state.base.product.name
        async with state.looking:
            newest = await self._calls.ask(lambda: self._store.revision(name))
            if newest <= state.revision:
                return False
            rows = await self._calls.ask(lambda: self._store.items_since(name, state.revision))
            if not rows:
                return False
            state.items = await self._calls.ask(lambda: overlaid(state.items, rows))
            _note(state, rows)
            return True

    async def _grow(self, state: _Product) -> float:
        """Make the snapshot of the catalogue as it is; gives the seconds after which it may be worth to try again."""
        if state.items is state.shown:
            return self._settings.store.refresh
        wait = state.not_before - time.monotonic()
        if wait > 0:
            return wait
        name = state.base.product.name
        old = self._products.served[name]
        if old is None:
            return self._settings.store.refresh
        began = time.monotonic()
        before = len(state.shown)
        new = await self._made(state, old)
        self._products.put(new)
        took = time.monotonic() - began
        state.not_before = time.monotonic() + REST * took
        self._retire(old.snapshot)
        log.info("catalogue grown", product=name, items=len(state.shown), new=len(state.shown) - before,
                 revision=state.revision, seconds=round(took, 3))  # fmt: skip
        return 0.0 if state.items is not state.shown else self._settings.store.refresh

    async def _made(self, state: _Product, old: Served) -> Served:
        items = state.items
        if items is state.shown:
            return old

        def make() -> Served:
            snapshot = grown(state.base, self._settings, self._registry, items)
            return Served.of(snapshot, old.revision)

        new = await self._threads.submit(make)
        state.shown, state.may = items, new.snapshot.plan.eligible
        # rows may have come while the models were loaded
        gone = hidden(state.items, state.deleted)[: len(items)]
        return _allowing(new, _both(state.may, gone))

    def _retire(self, snapshot: Snapshot) -> None:
        """Close a snapshot that was replaced, when nobody can be using it any more."""
        longest = BULK_PATIENCE * self._settings.server.limits.deadline + LINGER
        self._retired.append(snapshot)

        def close() -> None:
            self._retired.remove(snapshot)
            snapshot.close()

        asyncio.get_running_loop().call_later(longest, close)

    def close(self) -> None:
        """Let idle threads go, and close what was replaced."""
        self._threads.close()
        for snapshot in self._retired:
            snapshot.close()


def _note(state: _Product, rows: list[ItemRow]) -> None:
    for row in rows:
        (state.deleted.add if row.deleted else state.deleted.discard)(row.item_id)
        state.revision = max(state.revision, row.revision)


def _both(may: Bools | None, gone: Bools) -> Bools | None:
    """bool[N]: what the rules let show and is not gone."""
    if not gone.any():
        return may
    return ~gone if may is None else may & ~gone


def _allowing(served: Served, eligible: Bools | None) -> Served:
    """The same, with another mask of what may be shown."""
    plan = replace(served.snapshot.plan, eligible=eligible)
    return replace(served, snapshot=replace(served.snapshot, plan=plan))


def _told(problem: BaseException) -> str:
    return str(problem) if isinstance(problem, CuveeError) else repr(problem)
