"""Which products there are: the health service knows them, and tells everyone who may connect."""

from __future__ import annotations

from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from cuvee.client import AsyncClient

__all__ = ["products"]

NOT_PRODUCTS = ("cuvee.v1.", "grpc.", "server.")
"""What else the health service has entries of begins with one of these."""


async def products(client: AsyncClient, timeout: float = 3.0) -> list[dict[str, Any]]:
    """Name and state (a name of ``HealthCheckResponse.ServingStatus``) of each, by name.

    Raises:
        grpc.RpcError: the server cannot be asked.
    """
    stub = health_pb2_grpc.HealthStub(client.channel)
    answer = await stub.List(health_pb2.HealthListRequest(), timeout=timeout)
    state = health_pb2.HealthCheckResponse.ServingStatus.Name
    return [
        {"name": name, "state": state(one.status)}
        for name, one in sorted(answer.statuses.items())
        if name and not name.startswith(NOT_PRODUCTS)
    ]
