"""Changes of the catalogue reach the lists of every replica, without a refit.

Each server polls for new revisions of its products' items, and before each answer checks that it has read
them all. Items that must not be shown any more are hidden at once, at a cost proportional to the number of
changes. For other changes, the models are reloaded over the current catalogue and the snapshot is swapped.
That cost grows with the catalogue, so changes are collected, and reloads are limited in frequency. Models
are updated with all users' new events in the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import polars as pl
import structlog

from cuvee.artifacts.snapshot import Snapshot, grown
from cuvee.config import Settings
from cuvee.data.catalog import Entities
from cuvee.data.store import Store
from cuvee.data.store.catalogue.overlay import hidden, hides, overlaid, title_column, widened
from cuvee.data.store.rows import ItemRow
from cuvee.errors import CuveeError, NotReady
from cuvee.recommender import Bools, Recommender
from cuvee.registry import Registry
from cuvee.serving.live.activity import SinceFit
from cuvee.serving.live.hiding import Allowed, allowed, showing
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.live.trends import Trends, with_models
from cuvee.serving.off_loop import StoreCalls
from cuvee.serving.threads import Threads

__all__ = ["Growth"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

REST = 4
"""After a rebuild of models, the next one waits this many times the processor time that it took, so that
bulk writers cannot keep a server busy with rebuilds."""


class _Outdated(Exception):
    """Another snapshot or configuration came into use while something was made for the one before."""


@dataclass(slots=True, eq=False)
class _Product:
    """The state of one product."""

    base: Snapshot
    """The snapshot as it was loaded, over the imported catalogue."""
    settings: Settings
    since: SinceFit | None
    """The events that its models have not learnt from."""
    items: Entities
    """The catalogue, without the changes in ``unjoined``."""
    columns: Mapping[str, pl.DataType]
    """All of the catalogue's columns as it is now."""
    shown: Entities
    """The catalogue that the current snapshot has."""
    may: Allowed
    """Which items of ``shown`` the rules allow."""
    gone: Bools
    """bool[N]: which items of ``shown`` no list may show."""
    unjoined: dict[str, ItemRow] = field(default_factory=dict)
    """Rows that are not merged into ``items`` yet, by id."""
    deleted: set[str] = field(default_factory=set)
    revision: int = 0
    spent: float = 0.0
    """Processor seconds spent on the snapshot that is being made."""
    grow_from: float = 0.0
    count_from: float = 0.0
    """When models may be rebuilt next."""
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    joining: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The product's."""
        return self.base.product.name

    @property
    def title(self) -> str:
        """The column of titles."""
        return title_column(self.base.data.catalog.items)

    def take(self, rows: Sequence[ItemRow]) -> None:
        """Record written rows. The cost grows with their number, apart from a few bytes of memory per item."""
        self.columns = widened(self.columns, rows, self.title)
        for row in rows:
            self.unjoined[row.item_id] = row
            (self.deleted.add if row.deleted else self.deleted.discard)(row.item_id)
            self.revision = max(self.revision, row.revision)
        self.hide(rows)

    def hide(self, rows: Sequence[ItemRow]) -> None:
        """Apply rows that ``shown`` does not have."""
        gone = self.gone.copy()
        for row in rows:
            at = self.shown.position(row.item_id)
            if at >= 0:
                gone[at] = hides(row)
        self.gone = gone


class Growth:
    """The current catalogues of the products, and the snapshots that follow them."""

    def __init__(
        self,
        store: Store,
        refresh: float,
        registry: Registry,
        products: Products,
        calls: StoreCalls,
        retiring: Retiring,
    ) -> None:
        """``refresh``: seconds between two looks for changes that others wrote."""
        self._store = store
        self._refresh = refresh
        self._registry = registry
        self._products = products
        self._calls = calls
        self._trends = Trends(store)
        self._threads = Threads("growing", 1)
        self._turn = asyncio.Lock()
        self._states: dict[str, _Product] = {}
        self._coming: dict[str, _Product] = {}
        """Of snapshots that are loaded and not in use yet."""
        self._wake = asyncio.Event()
        self._retiring = retiring

    async def begin(self, served: Served, settings: Settings) -> Served:
        """A newly loaded snapshot with the store's catalogue; unchanged where the store cannot be reached.

        The snapshot that is in use stays so until :meth:`begun`.
        """
        snapshot = served.snapshot
        items = snapshot.data.catalog.items
        gone = hidden(items, ())
        since = self._trends.since(snapshot)
        state = _Product(snapshot, settings, since, items, items.frame.schema, items, allowed(snapshot), gone)
        self._coming[state.name] = state
        new = served
        try:
            await self._read(state)
            new = await self._made(state, served)
            if since is not None and await self._work(since.read):
                new = _with(new, await self._work(lambda: self._trends.counted(new.snapshot, since)))
        except Exception as problem:  # noqa: BLE001 - the loaded snapshot serves; it is tried again soon
            log.warning("the store's catalogue is left out for now", product=state.name, problem=_told(problem))
        if new.snapshot.data is not snapshot.data:
            snapshot.close()
        return new

    def begun(self, product: str) -> None:
        """Called when the product's snapshot is in use: changes written meanwhile are applied to it, too."""
        state = self._states[product] = self._coming.pop(product)
        state.hide([*state.unjoined.values()])
        self._hide(state)
        self._wake.set()

    def replan(self, served: Served, made_from: Snapshot, settings: Settings) -> bool:
        """Use a snapshot that was made of the current one by another configuration, with the same models.

        Returns False, and changes nothing, where the current catalogue has grown meanwhile.
        """
        snapshot = served.snapshot
        state = self._states[snapshot.product.name]
        now = self._products.served[state.name]
        if now is None or now.snapshot.data is not made_from.data:
            return False
        state.base, state.settings = replace(state.base, product=snapshot.product), settings
        state.may = allowed(snapshot)
        # models may have learnt of new events meanwhile
        self._products.put(showing(_with(served, now.snapshot.models), state.may, state.gone))
        return True

    def abandon(self, product: str) -> None:
        """The snapshot that began does not come into use."""
        self._coming.pop(product, None)

    def remove(self, product: str) -> None:
        """Follow a product no more."""
        self._states.pop(product, None)
        self._coming.pop(product, None)

    def imported(self, product: str) -> Entities:
        """A product's items as they were imported."""
        return self._state(product).base.data.catalog.items

    async def follow(self, product: str) -> None:
        """Hide the items that must not be shown as of now.

        Raises:
            NotReady: its snapshot is not loaded yet.
            UnavailableError: the store cannot be reached.
        """
        await self._look(self._state(product))

    def current_if(self, product: str, revision: int) -> Served | None:
        """The product's current snapshot, if it is at least as new as a revision of its items; else None."""
        state = self._states.get(product)
        return self._products.served[product] if state is not None and revision <= state.revision else None

    async def caught_up(self, served: Served, revision: int) -> Served:
        """The product's current snapshot, at least as new as a revision of its items; errors as above."""
        state = self._state(served.snapshot.product.name)
        if revision > state.revision:
            await self._look(state)
        return self._products.served[state.name] or served

    async def columns(self, product: str) -> tuple[Mapping[str, pl.DataType], str]:
        """The columns of a product's items at this moment, and which of them is the title; errors as above."""
        state = self._state(product)
        await self._look(state)
        return state.columns, state.title

    async def current(self, product: str) -> tuple[Entities, set[str]]:
        """A product's items at this moment, and the ids of deleted ones; errors as above."""
        state = self._state(product)
        await self._look(state)
        return await self._joined(state), state.deleted

    def _state(self, product: str) -> _Product:
        if product not in self._states:
            raise NotReady(f"product {product!r} is being loaded; try again in a moment")
        return self._states[product]

    async def run(self) -> None:
        """Poll for changes that others wrote, until cancelled."""
        failing: set[str] = set()
        while True:
            self._wake.clear()
            pause = self._refresh
            for name, state in list(self._states.items()):
                try:
                    await self._look(state)
                    pause = min(pause, await self._grow(state), await self._count(state))
                    failing.discard(name)
                except _Outdated:
                    pause = 0.0
                except Exception as problem:  # noqa: BLE001 - it is tried again, and the last good snapshot serves
                    if name not in failing:
                        log.warning("changes in the store cannot be read", product=name, problem=_told(problem))
                    failing.add(name)
            try:
                async with asyncio.timeout(max(pause, 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self, state: _Product) -> None:
        """Read changes, and hide at once the items that must not be shown any more."""
        if await self._read(state):
            self._hide(state)
            self._wake.set()

    def _hide(self, state: _Product) -> None:
        served = self._products.served.get(state.name)
        if served is not None and self._states.get(state.name) is state:
            self._products.put(showing(served, state.may, state.gone))

    async def _read(self, state: _Product) -> bool:
        """Read the rows of newer revisions; returns whether there were any."""
        async with state.looking:
            newest = await self._calls.ask(lambda: self._store.revision(state.name))
            if newest <= state.revision:
                return False
            rows = await self._calls.ask(lambda: self._store.items_since(state.name, state.revision))
            state.take(rows)
            return bool(rows)

    async def _joined(self, state: _Product) -> Entities:
        """The catalogue with all changes read so far."""
        async with state.joining:
            rows, state.unjoined = state.unjoined, {}
            if rows:
                in_order = sorted(rows.values(), key=lambda row: row.born)
                try:
                    state.items, spent = await self._calls.ask(lambda: _spent(lambda: overlaid(state.items, in_order)))
                    state.spent += spent
                except BaseException:
                    state.unjoined = rows | state.unjoined
                    raise
            return state.items

    async def _grow(self, state: _Product) -> float:
        """Make a snapshot of the current catalogue; returns the seconds after which to try again."""
        old = self._products.served.get(state.name)
        if old is None or (state.items is state.shown and not state.unjoined):
            return self._refresh
        if state.grow_from > time.monotonic():
            return state.grow_from - time.monotonic()
        began, state.spent = time.monotonic(), 0.0
        before = len(state.shown)
        new = await self._made(state, old)
        if self._states.get(state.name) is not state:
            if new is not old:
                new.snapshot.close()
            raise _Outdated
        self._products.put(new)
        took = time.monotonic() - began
        state.grow_from = time.monotonic() + REST * state.spent
        self._retiring.later(old.snapshot.models.values())
        log.info("catalogue grown", product=state.name, items=len(state.shown), new=len(state.shown) - before,
                 revision=state.revision, seconds=round(took, 3))  # fmt: skip
        return self._refresh

    async def _made(self, state: _Product, old: Served) -> Served:
        items = await self._joined(state)
        if items is state.shown:
            return old
        base, settings = state.base, state.settings

        def make() -> Served:
            snapshot = grown(base, settings, self._registry, items)
            models = self._trends.counted(snapshot, state.since)
            return Served.of(with_models(snapshot, models), old.revision)

        new, spent = await self._work(lambda: _spent(make))
        if state.base is not base:
            new.snapshot.close()
            raise _Outdated
        state.spent += spent
        state.shown, state.may, state.gone = items, allowed(new.snapshot), hidden(items, state.deleted)
        # rows may have come while the models were loaded
        state.hide([*state.unjoined.values()])
        return showing(new, state.may, state.gone)

    async def _count(self, state: _Product) -> float:
        """Update the models with all users' new events; returns the seconds after which to try again."""
        served, since = self._products.served.get(state.name), state.since
        if served is None or since is None:
            return self._refresh
        if state.count_from > time.monotonic():
            return state.count_from - time.monotonic()
        found, spent = await self._work(lambda: _spent(since.read))
        if found:
            models, more = await self._work(lambda: _spent(lambda: self._trends.counted(served.snapshot, since)))
            spent += more
            if self._states.get(state.name) is not state:
                raise _Outdated
            # the hidden items and the configuration may have changed meanwhile
            self._products.put(_with(self._products.served[state.name] or served, models))
        # reading costs, too, where many events were written in the last seconds
        state.count_from = time.monotonic() + REST * spent
        return self._refresh

    async def _work(self, call: Callable[[], T]) -> T:
        """Call in the one thread that builds models. Products wait for each other's calls."""
        async with self._turn:
            return await self._threads.submit(call)

    def close(self) -> None:
        """Stop idle threads."""
        self._threads.close()


def _spent(work: Callable[[], T]) -> tuple[T, float]:
    """The result of a call, and the processor seconds that it took, independent of other load on the machine."""
    began = time.thread_time()
    return work(), time.thread_time() - began


def _with(served: Served, models: Mapping[str, Recommender[Any]]) -> Served:
    """The same, with some models replaced."""
    return replace(served, snapshot=with_models(served.snapshot, models)) if models else served


def _told(problem: BaseException) -> str:
    return str(problem) if isinstance(problem, CuveeError) else repr(problem)
