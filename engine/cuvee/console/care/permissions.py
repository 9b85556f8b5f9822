"""What the pages may do: asked of the server by calls that change nothing, so that no button is there in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc

from cuvee.client import AsyncClient
from cuvee.v1 import admin_pb2, catalog_pb2

__all__ = ["SCOPES", "permissions"]

TIMEOUT = 5.0
SCOPES = ("write", "privacy", "admin")
REFUSED = {
    grpc.StatusCode.PERMISSION_DENIED: "scope",
    grpc.StatusCode.UNAUTHENTICATED: "token",
    grpc.StatusCode.UNIMPLEMENTED: "absent",
    grpc.StatusCode.UNAVAILABLE: "away",
    grpc.StatusCode.DEADLINE_EXCEEDED: "away",
}
"""The code of an answer -> why a scope cannot be used. Any other comes from behind the check of scopes."""


async def permissions(client: AsyncClient, admin: AsyncClient, product: str) -> dict[str, str]:
    """For each of ``SCOPES`` of a product: empty where the console has it, else why it has not.

    The values are ``scope``, ``token`` (none, unknown or expired), ``absent`` (no such service there) and ``away``.
    """
    asked = (
        # both are refused for their empty id, if the scope is there
        client.catalog.UpsertItem(
            catalog_pb2.UpsertItemRequest(product=product, item=catalog_pb2.Item(), validate_only=True), timeout=TIMEOUT
        ),
        client.catalog.GetUser(catalog_pb2.GetUserRequest(product=product), timeout=TIMEOUT),
        admin.admin.GetProduct(admin_pb2.GetProductRequest(product=product), timeout=TIMEOUT),
    )
    found = await asyncio.gather(*(_refusal(call) for call in asked))
    return dict(zip(SCOPES, found, strict=True))


async def _refusal(call: Awaitable[Any]) -> str:
    try:
        await call
    except grpc.RpcError as problem:
        return REFUSED.get(problem.code(), "")
    return ""
