"""The server's life: bind, load, probe, serve, and on SIGTERM finish running calls."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2_grpc as reflection_grpc

from cuvee import __version__
from cuvee.config import Files, ServerConfig, Settings
from cuvee.errors import OperatorError
from cuvee.registry import Registry
from cuvee.serving.access.access import Access
from cuvee.serving.admin.service import AdminServicer
from cuvee.serving.admin.to_wire import SourceFigures
from cuvee.serving.admission.connections import channel_options
from cuvee.serving.admission.desk import Desk
from cuvee.serving.admission.intake import server_that_waits
from cuvee.serving.admission.lanes import LANES
from cuvee.serving.guard import Guard
from cuvee.serving.health import ADMIN_SERVICE, CERTIFICATE, CONFIGURATION, SERVICE, Health
from cuvee.serving.lists.probe import Probed, probe
from cuvee.serving.lists.service import RecommendationServicer
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.last_good import LastGood
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.reloading import Reloading
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.live.standing import Standings
from cuvee.serving.log import watch as watch_log
from cuvee.serving.telemetry.board import Slot
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.models import watch_products
from cuvee.serving.telemetry.process import watch_process
from cuvee.serving.telemetry.publishing import publish
from cuvee.serving.tracing.traces import Traces
from cuvee.serving.with_store import StoreServices
from cuvee.serving.workers.worker import Worker
from cuvee.v1 import admin_pb2_grpc
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["Ready", "serve"]

log = structlog.get_logger(__name__)

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


class _Around:
    """What of this server follows its products."""

    def __init__(self, registry: Registry, stored: StoreServices, desk: Desk, worker: Worker | None) -> None:
        self._registry = registry
        self.stored = stored
        self.rate = desk.rate
        self._marks = worker.marks if worker else None

    async def probe(self, settings: Settings, served: Served) -> Probed:
        """Ask a snapshot that is not in use."""
        return await probe(settings, self._registry, served, self._marks)


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
    reloading: Reloading
    retiring: Retiring
    steering: AdminServicer

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

    def close(self) -> None:
        """Stop idle threads, and close what is open."""
        self.lists.close()
        self.steering.close()
        self.reloading.close()
        self.stored.close()
        self.retiring.close()
        self.access.close()
        self.traces.close()

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and wait for running ones, at most so long."""
        servers = [self.server, *([self.admin] if self.admin is not None else [])]
        await asyncio.gather(*(one.stop(max(seconds, 0.0)) for one in servers))


async def _assembled(
    settings: Settings,
    registry: Registry,
    products: Products,
    listen: str,
    *,
    reuse_port: bool,
    worker: Worker | None,
    file: Path | None,
    kept: Path | None,
) -> _Parts:
    """All services on their servers."""
    config = settings.server
    configured, retiring = Configured(settings), Retiring(config.limits.deadline)
    figures, access = Figures(), Access(settings, listen)
    watch_process(figures)
    watch_products(figures, products)
    desk = Desk(config.limits, settings.products, figures)
    traces = _traces(settings, figures)
    guard = Guard(config.limits, settings.privacy.pseudonyms, figures, desk, access.gate, traces)
    reads = desk.lanes["reads"]
    lists_of = [method for method, lane in LANES.items() if lane == reads.name]
    server = server_that_waits(_options(config, reuse_port=reuse_port), lists_of, lambda: reads.hold)
    admin = grpc.aio.server(options=_options(config, reuse_port=reuse_port)) if config.admin is not None else None
    once = worker is None or worker.first
    stored = StoreServices(configured, registry, products, guard.leaving, figures, retiring=retiring, prunes=once)
    marks = worker.marks if worker else None
    lists = RecommendationServicer(
        settings, registry, products, stored.users, stored.exposures, stored.growth, marks, figures,
        lambda: reads.pressure,
    )  # fmt: skip
    guarded = guard.around(server)
    stored.attach(guarded)
    rpc.add_RecommendationServiceServicer_to_server(lists, guarded)
    steered = guard.around(admin) if admin is not None else guarded
    certificate = [CERTIFICATE] if config.tls is not None else []
    state = Health([*settings.products, *stored.names, *certificate, CONFIGURATION], figures)
    around = _Around(registry, stored, desk, worker)
    files = Files.read(file) if file is not None else None
    reloading = Reloading(
        configured, files, registry, products, state, around, Standings(figures), retiring, LastGood(kept)
    )
    steering = AdminServicer(configured, registry, products, reloading, lambda name: _figures_of(name, figures, lists))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(steering, steered)
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
    return _Parts(access, server, admin, figures, guard, stored, lists, state, traces, reloading, retiring, steering)


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


def _figures_of(product: str, figures: Figures, lists: RecommendationServicer) -> dict[str, SourceFigures]:
    """How a product's sources have done."""
    runs: Counter[str] = Counter()
    degraded: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for one in figures.samples():
        if one.labels[:1] != (product,):
            continue
        if one.name == "cuvee_source_runs_total":
            runs[one.labels[1]] += int(one.value)
        elif one.name == "cuvee_source_degraded_total":
            degraded[one.labels[1]] += int(one.value)
        elif one.name == "cuvee_source_duration_seconds":
            seconds[one.labels[1]] += one.value  # type: ignore[assignment] # a Counter of floats
    open_ones = lists.open_circuits(product)
    return {
        name: SourceFigures(runs[name], float(seconds[name]), degraded[name], open=open_ones.get(name, False))
        for name in {*runs, *open_ones}
    }


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
    file: Path | None = None,
    kept: Path | None = None,
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
        file: the ``cuvee.toml`` that the settings are of. It and the products' files are followed; without it only
            new fits are taken up.
        kept: a folder where the files that are in use are kept, for a worker that takes the place of this one.

    Raises:
        OperatorError: the port is taken, no product can be loaded, or strangers could reach a server that asks
            for no credentials.
    """
    config = settings.server
    products = Products(settings.products)
    where = listen or config.listen
    parts = await _assembled(
        settings, registry, products, where, reuse_port=reuse_port, worker=worker, file=file, kept=kept
    )
    access, guard, stored, state = parts.access, parts.guard, parts.stored, parts.health
    steered = admin or (config.admin.listen if config.admin is not None else "")
    stop = _stop_on_signals(access.again)
    address = await parts.begin(where, steered) if worker is None else where
    living = asyncio.ensure_future(worker.live(stop)) if worker is not None else None
    watching = asyncio.ensure_future(access.run(state))
    ends = time.monotonic()
    stopping = asyncio.ensure_future(stop.wait())
    preparing = asyncio.ensure_future(parts.reloading.all())
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
            preparing = asyncio.ensure_future(parts.reloading.run())
            await stopping
        log.info("stopping", grace=config.shutdown_grace, in_flight=guard.in_flight)
        await state.leaving()
        ends = time.monotonic() + config.shutdown_grace
        await asyncio.sleep(min(NOTICE, config.shutdown_grace / 10))
        await guard.drain(ends - time.monotonic())
    finally:
        for task in (preparing, following, stopping, watching, living):
            if task is not None:
                task.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await parts.stop(ends - time.monotonic())
        await stored.drain(min(config.shutdown_grace, 2.0))
        parts.close()
        for served in products.served.values():
            if served is not None:
                served.snapshot.close()
    log.info("stopped")
