"""The server's life: bind, load, probe, serve, and on SIGTERM finish running calls."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2_grpc as reflection_grpc

from cuvee import __version__
from cuvee.artifacts.snapshot import Snapshot, load_snapshot
from cuvee.config import ServerConfig, Settings
from cuvee.errors import CuveeError, OperatorError
from cuvee.registry import Registry
from cuvee.serving.access.access import Access
from cuvee.serving.admission.connections import channel_options
from cuvee.serving.admission.desk import Desk
from cuvee.serving.guard import Guard
from cuvee.serving.health import ADMIN_SERVICE, CERTIFICATE, SERVICE, Health
from cuvee.serving.lists.probe import probe
from cuvee.serving.lists.service import RecommendationServicer
from cuvee.serving.live.products import Products, Served
from cuvee.serving.log import watch as watch_log
from cuvee.serving.status import code_of
from cuvee.serving.telemetry.board import Slot
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.models import watch_products
from cuvee.serving.telemetry.process import watch_process
from cuvee.serving.telemetry.publishing import publish
from cuvee.serving.telemetry.traces import Traces
from cuvee.serving.threads import Threads
from cuvee.serving.with_store import StoreServices
from cuvee.serving.workers.worker import Worker
from cuvee.v1 import admin_pb2_grpc
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["Ready", "serve"]

log = structlog.get_logger(__name__)

RETRY, SELDOM = 5.0, 60.0
"""Seconds until a product that could not be loaded is tried again: at first, and at most."""
NOTICE = 0.2
"""Seconds between reporting NOT_SERVING and refusing calls, so that balancers and clients can switch."""


SWITCH = 0.0005
"""Seconds after which a thread that computes lets the event loop have its turn; Python's own are 0.005. With these, an
overloaded server took in so few calls that in one pair of runs it answered 172 a second instead of 861."""
COLLECTED = (50_000, 20, 50)
"""Objects made beyond those let go before the young are collected; and so many collections before the older are."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a ready server reports."""

    address: str
    products: tuple[str, ...]
    """The products that are served; the others are tried again."""


def _options(config: ServerConfig, *, reuse_port: bool) -> list[tuple[str, int]]:
    return [("grpc.so_reuseport", int(reuse_port)), *channel_options(config.limits)]


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> str:
    """Listen; returns the address with the actual port."""
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
    except RuntimeError:
        raise OperatorError(
            f"cannot listen on {listen}: is another server there already? Stop it, or give another address"
        ) from None
    host, colon, _ = listen.rpartition(":")
    return listen if listen.startswith("unix") else f"{host}{colon}{port}"


async def _load(settings: Settings, registry: Registry, product: str, threads: Threads) -> Snapshot:
    """Called in a thread, so that health checks are answered meanwhile."""
    return await threads.submit(load_snapshot, settings, registry, product)


class _Loading:
    """Loads and probes products; one that cannot be served does not affect the others, and is tried again."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        products: Products,
        health: Health,
        stored: StoreServices,
        worker: Worker | None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._products = products
        self._health = health
        self._stored = stored
        self._marks = worker.marks if worker else None
        self._threads = Threads("load", 1)
        self._failed: dict[str, Exception] = {}

    async def all(self) -> None:
        """Load every product once; each answers as soon as it is ready.

        Raises:
            OperatorError: none of them can be served.
        """
        for name in self._settings.products:
            await self._try(name)
        if self._failed and len(self._failed) == len(self._settings.products):
            raise next(iter(self._failed.values()))
        for name in self._failed:
            self._tell(name)

    async def again(self) -> None:
        """Retry products that could not be loaded, at growing intervals, until all are served."""
        pause = RETRY
        while self._failed:
            await asyncio.sleep(pause)
            pause = min(2 * pause, SELDOM)
            for name, before in list(self._failed.items()):
                await self._try(name)
                if name in self._failed and str(self._failed[name]) != str(before):
                    self._tell(name)
        self._threads.close()

    async def _try(self, name: str) -> None:
        try:
            version, problems = await self._load(name)
        except Exception as problem:  # noqa: BLE001 - a plugin may raise anything; the others are served
            self._failed[name] = problem
            why = code_of(problem)[1]
            self._products.fail(name, why)
            await self._health.not_serving(name, why=why)
            return
        self._failed.pop(name, None)
        await self._health.serving(name)
        log.info("product ready", product=name, version=version, problems=problems)

    def _tell(self, name: str) -> None:
        problem = self._failed[name]
        told = str(problem) if isinstance(problem, CuveeError) else repr(problem)
        log.error("product not serving", product=name, problem=told, hint="it is tried again")

    async def _load(self, name: str) -> tuple[str, tuple[str, ...]]:
        snapshot = await _load(self._settings, self._registry, name, self._threads)
        try:
            served = await self._stored.begin(Served.of(snapshot, self._settings.revision))
            snapshot = served.snapshot
            await probe(self._settings, self._registry, served, self._marks)
        except BaseException:
            snapshot.close()
            raise
        self._products.put(served)
        self._stored.begun(name)
        return snapshot.version, snapshot.problems


def _stop_on_signals(hung_up: Callable[[], None]) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if hasattr(signal, "SIGHUP"):  # there is none on Windows
        loop.add_signal_handler(signal.SIGHUP, hung_up)
    return stop


@dataclass(frozen=True, slots=True)
class _Parts:
    """A server that was not started yet, and its parts."""

    access: Access
    server: grpc.aio.Server
    admin: grpc.aio.Server | None
    """The server of ``[server.admin]``."""
    figures: Figures
    guard: Guard
    stored: StoreServices
    lists: RecommendationServicer
    health: Health
    traces: Traces

    async def begin(self, listen: str, admin: str) -> str:
        """Listen and answer; returns the address with the actual port."""
        credentials = self.access.credentials()
        address = _bind(self.server, listen, credentials)
        if self.admin is not None:
            log.info("listening for AdminService", address=_bind(self.admin, admin, credentials))
            await self.admin.start()
        await self.server.start()
        log.info("listening", address=address)
        return address

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and wait for running ones, at most so long."""
        servers = [self.server, *([self.admin] if self.admin is not None else [])]
        await asyncio.gather(*(one.stop(max(seconds, 0.0)) for one in servers))


async def _assembled(
    settings: Settings, registry: Registry, products: Products, listen: str, *, reuse_port: bool, worker: Worker | None
) -> _Parts:
    """All services on their servers."""
    config = settings.server
    figures, access = Figures(), Access(settings, listen)
    watch_process(figures)
    watch_products(figures, products)
    desk = Desk(config.limits, settings.products, figures)
    traces = _traces(settings, figures)
    guard = Guard(config.limits, settings.privacy.pseudonyms, figures, desk, access.gate, traces)
    server = grpc.aio.server(options=_options(config, reuse_port=reuse_port))
    admin = grpc.aio.server(options=_options(config, reuse_port=reuse_port)) if config.admin is not None else None
    once = worker is None or worker.first
    stored = StoreServices(settings, registry, products, guard.leaving, figures, prunes=once)
    marks = worker.marks if worker else None
    lists = RecommendationServicer(
        settings, registry, products, stored.users, stored.exposures, stored.growth, marks, figures
    )
    guarded = guard.around(server)
    stored.attach(guarded)
    rpc.add_RecommendationServiceServicer_to_server(lists, guarded)
    steered = guard.around(admin) if admin is not None else guarded
    unbuilt = admin_pb2_grpc.AdminServiceServicer()  # type: ignore[abstract] # it answers UNIMPLEMENTED
    admin_pb2_grpc.add_AdminServiceServicer_to_server(unbuilt, steered)
    certificate = [CERTIFICATE] if config.tls is not None else []
    state = Health([*settings.products, *stored.names, *certificate], figures)
    await state.attach(server)
    if admin is not None:
        await state.attach(admin)
    if config.reflection:
        named = [SERVICE, *stored.names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        told = {guarded: named, **({steered: [ADMIN_SERVICE]} if admin is not None else {})}
        if admin is None:
            named.append(ADMIN_SERVICE)
        for where, names in told.items():
            reflection_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), where)
    return _Parts(access, server, admin, figures, guard, stored, lists, state, traces)


def _traces(settings: Settings, figures: Figures) -> Traces:
    config = settings.server.traces
    if config.certificate is not None:
        config = config.model_copy(update={"certificate": settings.root / config.certificate})
    try:
        return Traces(config, figures, __version__)
    except OSError as problem:
        raise OperatorError(
            f"server.traces.certificate: {config.certificate} cannot be read: {problem.strerror}"
        ) from None


def _settle_down() -> None:
    """Give the event loop its turn soon, and have the garbage collector pass over what was loaded.

    To look through all of it took a tenth of the time.
    """
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED)


def _tell(said: Ready, settings: Settings, ready: Callable[[Ready], None] | None) -> None:
    log.info("ready", address=said.address, products=said.products, revision=settings.revision)
    if ready is not None:
        ready(said)


async def serve(
    settings: Settings,
    registry: Registry,
    *,
    listen: str | None = None,
    reuse_port: bool = False,
    ready: Callable[[Ready], None] | None = None,
    worker: Worker | None = None,
    admin: str | None = None,
    slot: Slot | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish running calls.

    Args:
        settings: the whole configuration.
        registry: the installed plugins.
        listen: where, instead of ``server.listen``; port 0 takes any free one.
        reuse_port: let several processes share the port (SO_REUSEPORT). Otherwise a port that is
            taken is an error.
        ready: called when every product is loaded and probed, except those that cannot be served now.
        worker: set where this process is one of several on one port. It listens only when it is ready, since
            the kernel spreads callers over all listeners.
        admin: where, instead of ``server.admin.listen``.
        slot: where this process leaves its figures; without it they are counted for nobody.

    Raises:
        OperatorError: the port is taken, no product can be loaded, or strangers could reach a server that asks
            for no credentials.
    """
    config = settings.server
    products = Products(settings.products)
    where = listen or config.listen
    parts = await _assembled(settings, registry, products, where, reuse_port=reuse_port, worker=worker)
    access, guard, stored, state = parts.access, parts.guard, parts.stored, parts.health
    steered = admin or (config.admin.listen if config.admin is not None else "")
    stop = _stop_on_signals(access.again)
    address = await parts.begin(where, steered) if worker is None else where
    living = asyncio.ensure_future(worker.live(stop)) if worker is not None else None
    watching = asyncio.ensure_future(access.run(state))
    ends = time.monotonic()
    stopping = asyncio.ensure_future(stop.wait())
    loading = _Loading(settings, registry, products, state, stored, worker)
    preparing = asyncio.ensure_future(loading.all())
    following = asyncio.gather(
        stored.run(state),
        state.follow(parts.lists.silent),
        publish(parts.figures, slot),
        watch_log(parts.figures),
    )
    try:
        await asyncio.wait([preparing, stopping], return_when=asyncio.FIRST_COMPLETED)
        if preparing.done():
            preparing.result()
            await state.serving("", SERVICE)
            if worker is not None:
                address = await parts.begin(where, steered)
                worker.ready()
            _settle_down()
            _tell(Ready(address, products.ready), settings, ready)
            preparing = asyncio.ensure_future(loading.again())
            await stopping
        log.info("stopping", grace=config.shutdown_grace, in_flight=guard.in_flight)
        await state.leaving()
        ends = time.monotonic() + config.shutdown_grace
        await asyncio.sleep(min(NOTICE, config.shutdown_grace / 10))
        await guard.drain(ends - time.monotonic())
    finally:
        preparing.cancel()
        following.cancel()
        stopping.cancel()
        watching.cancel()
        if living is not None:
            living.cancel()
        await parts.stop(ends - time.monotonic())
        await stored.drain(min(config.shutdown_grace, 2.0))
        parts.lists.close()
        stored.close()
        access.close()
        parts.traces.close()
        for served in products.served.values():
            if served is not None:
                served.snapshot.close()
    log.info("stopped")
