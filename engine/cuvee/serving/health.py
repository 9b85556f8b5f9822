"""grpc.health.v1: the state of the server, the services and each product, for load balancers."""

from __future__ import annotations

from collections.abc import Iterable

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["SERVICE", "Health"]

SERVICE: str = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
"""cuvee.v1.RecommendationService"""


class Health:
    """NOT_SERVING until told otherwise, which gRPC's own servicer is not."""

    def __init__(self, products: Iterable[str]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._names = ("", SERVICE, *products)

    async def attach(self, server: grpc.aio.Server) -> None:
        """Answer on a server that was not started yet."""
        for name in self._names:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def serving(self, *names: str) -> None:
        """Set these services to SERVING."""
        for name in names:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def say(self, *names: str, serving: bool) -> None:
        """Set the state of these services."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in names:
            await self._servicer.set(name, status)

    async def leaving(self) -> None:
        """NOT_SERVING, for good."""
        await self._servicer.enter_graceful_shutdown()
