"""Addresses of Care: each takes JSON by POST, so that nothing personal is in an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cuvee.client import AsyncClient
from cuvee.console.bodies import Refused, body, check_own_page
from cuvee.console.care.files import apply_file, bring_back_file, check_file, read_file
from cuvee.console.care.items import find_item, hide_item
from cuvee.console.care.messages import (
    AboutFile,
    AboutItem,
    AboutProduct,
    AboutUser,
    ApplyFile,
    DeleteUser,
    HideItem,
    NewFile,
    UseSnapshot,
)
from cuvee.console.care.permissions import SCOPES, permissions
from cuvee.console.care.snapshots import snapshots, use_snapshot
from cuvee.console.care.users import delete_user, exported, find_user

__all__ = ["Clients", "care_routes"]

M = TypeVar("M", bound=BaseModel)
MOST_BYTES = 5 * 1024 * 1024
"""Of a body: a product's file has at most a million characters."""


@dataclass(frozen=True)
class Clients:
    """Of the server, and of its AdminService, which may have an address of its own."""

    server: AsyncClient
    admin: AsyncClient


def care_routes(clients: Callable[[Request], Clients], secret: str, *, changes: bool) -> list[Route]:
    """The addresses. Without ``changes`` those that change something refuse."""

    def route(
        path: str, model: type[M], answer: Callable[[Clients, M], Awaitable[dict[str, Any]]], *, change: bool = False
    ) -> Route:
        async def ask(request: Request) -> Response:
            check_own_page(request, secret)
            asked = await body(request, model, MOST_BYTES)
            if change and not changes and getattr(asked, "confirmed", True):
                raise Refused("READ_ONLY")
            return JSONResponse(await answer(clients(request), asked))

        return Route(f"/api/care/{path}", ask, methods=["POST"])

    async def may(found: Clients, asked: AboutProduct) -> dict[str, Any]:
        why = await permissions(found.server, found.admin, asked.product)
        return {"changes": changes, "why": {scope: why[scope] for scope in SCOPES}}

    async def export(request: Request) -> Response:
        check_own_page(request, secret)
        asked = await body(request, AboutUser)
        records = exported(clients(request).server, asked)
        first = await anext(records, b"")  # what is wrong is told before the answer begins
        return StreamingResponse(
            _all(first, records),
            media_type="application/jsonl",
            headers={"Content-Disposition": 'attachment; filename="export.jsonl"'},
        )

    return [
        route("may", AboutProduct, may),
        route("item", AboutItem, lambda found, asked: find_item(found.server, asked)),
        route("hide", HideItem, lambda found, asked: hide_item(found.server, asked), change=True),
        route("user", AboutUser, lambda found, asked: find_user(found.server, asked)),
        Route("/api/care/export", export, methods=["POST"]),
        route("delete", DeleteUser, lambda found, asked: delete_user(found.server, asked), change=True),
        route("snapshots", AboutProduct, lambda found, asked: snapshots(found.admin, asked)),
        route("use", UseSnapshot, lambda found, asked: use_snapshot(found.admin, asked), change=True),
        route("file", AboutProduct, lambda found, asked: read_file(found.admin, asked)),
        route("check", NewFile, lambda found, asked: check_file(found.admin, asked)),
        route("apply", ApplyFile, lambda found, asked: apply_file(found.admin, asked), change=True),
        route("earlier", AboutFile, lambda found, asked: bring_back_file(found.admin, asked), change=True),
    ]


async def _all(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for one in others:
        yield one
