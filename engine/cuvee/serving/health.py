"""grpc.health.v1: the state of the server, the services and each product, for load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cuvee.serving.telemetry.figures import Figures, Readings
from cuvee.v1 import admin_pb2
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["ADMIN_SERVICE", "CERTIFICATE", "CONFIGURATION", "EXPIRED", "LOADING", "REFUSED", "SERVICE", "Health"]

log = structlog.get_logger(__name__)

SERVICE: str = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
"""cuvee.v1.RecommendationService"""
ADMIN_SERVICE: str = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
"""cuvee.v1.AdminService"""
CERTIFICATE = "server.tls"
"""NOT_SERVING where the server's own certificate has expired; no product can have this name."""
CONFIGURATION = "server.config"
"""NOT_SERVING while the newest configuration or fit is not in use, since something is wrong with it."""
WHOLE = "server"
"""The name of the whole server in figures; gRPC's own is empty."""
LOADING, STOPPING, NO_SOURCE, EXPIRED, REFUSED = "LOADING", "STOPPING", "NO_SOURCE", "EXPIRED", "REFUSED"
LOOK = 0.5
"""Seconds between two looks at which products no source answers for."""


class _Servicer(health.aio.HealthServicer):  # type: ignore[misc] # the library has no annotations
    """gRPC's own, and ``List``, which its ``async`` form does not have."""

    async def List(  # noqa: N802 - the rpc's name
        self, request: health_pb2.HealthListRequest, context: object
    ) -> health_pb2.HealthListResponse:
        """Every service and product; one that is no longer there is left out."""
        return health_pb2.HealthListResponse(
            statuses={
                name: health_pb2.HealthCheckResponse(status=status)
                for name, status in self._server_status.items()
                if status != health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            }
        )


class Health:
    """NOT_SERVING until told otherwise, which gRPC's own servicer is not; and why."""

    def __init__(self, products: Iterable[str], figures: Figures) -> None:
        self._servicer = _Servicer()
        self._reasons: dict[str, str] = dict.fromkeys(("", SERVICE, *products), LOADING)
        """By name; empty for what is SERVING."""
        figures.watch("cuvee_serving", lambda: {(name or WHOLE,): not why for name, why in self._reasons.items()})
        figures.watch("cuvee_not_serving", self._not_serving)

    def _not_serving(self) -> Readings:
        return {(name or WHOLE, why): 1 for name, why in self._reasons.items() if why}

    async def attach(self, server: grpc.aio.Server) -> None:
        """Answer on a server that was not started yet."""
        for name in self._reasons:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def serving(self, *names: str) -> None:
        """Set these to SERVING."""
        for name in names:
            self._reasons[name] = ""
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def not_serving(self, *names: str, why: str) -> None:
        """Set these to NOT_SERVING; ``why`` is one of few words, which figures show."""
        for name in names:
            self._reasons[name] = why
            await self._servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)

    def why(self, name: str) -> str:
        """Why something is NOT_SERVING; empty where it serves."""
        return self._reasons.get(name, LOADING)

    async def remove(self, name: str) -> None:
        """Know a product no more."""
        if self._reasons.pop(name, None) is not None:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)

    async def follow(self, silent: Callable[[], Mapping[str, bool]]) -> None:
        """Until cancelled, say NOT_SERVING of products of which no source answers at present.

        Their callers still get what the fallback chain and the catalogue have, and the server itself goes on SERVING.
        """
        while True:
            await asyncio.sleep(LOOK)
            for product, is_silent in silent().items():
                why = self._reasons.get(product, LOADING)
                if is_silent and not why:
                    log.error("product not serving", product=product, problem="none of its sources answers")
                    await self.not_serving(product, why=NO_SOURCE)
                elif why == NO_SOURCE and not is_silent:
                    log.info("product serving again", product=product)
                    await self.serving(product)

    async def leaving(self) -> None:
        """NOT_SERVING, for good."""
        self._reasons = dict.fromkeys(self._reasons, STOPPING)
        await self._servicer.enter_graceful_shutdown()
