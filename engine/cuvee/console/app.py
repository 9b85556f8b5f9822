"""The web application: pages, their data as JSON, and the headers that each answer has."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from cuvee.client import AsyncClient, failure_of
from cuvee.console.bodies import Refused, body
from cuvee.console.care.routes import Clients, care_routes
from cuvee.console.headers import Headers
from cuvee.console.lists import Asked, ask
from cuvee.console.products import products
from cuvee.console.reports import read_reports
from cuvee.console.texts import CODES, LANGUAGES, language_of, texts
from cuvee.console.watching import Watch
from cuvee.errors import CuveeError, InvalidArgument

__all__ = ["Console", "application"]

HERE = Path(__file__).parent
PAGES = {"try": "/", "watch": "/watch", "understand": "/understand", "care": "/care"}


@dataclass(frozen=True)
class Console:
    """What the pages are about."""

    address: str
    """Of the server, to be shown: host:port."""
    connect: Callable[[], AsyncClient]
    """Makes a client on the running loop."""
    connect_admin: Callable[[], AsyncClient] | None = None
    """The same for its AdminService, where that has an address of its own."""
    changes: bool = False
    """Whether Care may change anything, as far as the server lets it."""
    metrics: str = ""
    """The URL of the server's ``/metrics``; empty: there is none."""
    reports: Sequence[Path] = ()
    """Files that ``cuvee evaluate --json`` wrote."""
    version: str = ""
    """Of Cuvée, to be shown."""
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")
    """Names by which a browser may call this console: another one comes from a page that wants to use it unasked."""


def application(console: Console) -> Starlette:
    """The pages as an ASGI application."""
    secret = secrets.token_urlsafe(24)

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        watch = Watch(console.metrics)
        following = asyncio.create_task(watch.follow())
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(console.connect())
            connect_admin = console.connect_admin
            admin = client if connect_admin is None else await stack.enter_async_context(connect_admin())
            app.state.pages = _Pages(console, Clients(client, admin), watch, secret)
            yield
        following.cancel()

    async def page(request: Request) -> Response:
        return _state(request).page(request)

    async def products_(request: Request) -> Response:
        return await _state(request).products(request)

    async def list_(request: Request) -> Response:
        return await _state(request).list(request)

    async def watch_(request: Request) -> Response:
        return await _state(request).watch_(request)

    async def reports_(_: Request) -> Response:
        return _json({"reports": await asyncio.to_thread(read_reports, console.reports)})

    return Starlette(
        routes=[
            *(Route(path, page, name=name) for name, path in PAGES.items()),
            Route("/api/products", products_),
            Route("/api/list", list_, methods=["POST"]),
            Route("/api/watch", watch_),
            Route("/api/reports", reports_),
            *care_routes(lambda request: _state(request).clients, secret, changes=console.changes),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[
            Middleware(Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(console.hosts), www_redirect=False),
            Middleware(GZipMiddleware, minimum_size=2048),
        ],
        exception_handlers={CuveeError: _wrong, Refused: _refused, grpc.RpcError: _failed},
        lifespan=running,
    )


def _state(request: Request) -> _Pages:
    pages: _Pages = request.app.state.pages
    return pages


class _Pages:
    """Answers of the running console."""

    def __init__(self, console: Console, clients: Clients, watch: Watch, secret: str) -> None:
        self._console, self.clients, self._watch, self._secret = console, clients, watch, secret
        self._client = clients.server
        self._templates = Jinja2Templates(directory=HERE / "templates")

    def page(self, request: Request) -> Response:
        """One of the pages, in the reader's language."""
        name = next(name for name, path in PAGES.items() if path == request.url.path)
        asked = request.query_params.get("lang", "")
        language = language_of(asked, request.headers.get("accept-language", ""))
        kept = f"?lang={asked}" if asked in LANGUAGES else ""
        said: dict[str, Any] = {
            "t": texts(language), "language": language, "languages": LANGUAGES, "here": name, "pages": PAGES,
            "kept": kept, "address": self._console.address, "version": self._console.version,
            "secret": self._secret,
        }  # fmt: skip
        return self._templates.TemplateResponse(request, f"{name}.html.j2", said, headers={"Vary": "Accept-Language"})

    async def products(self, request: Request) -> Response:
        """Which products there are, and whether each is serving."""
        return _json({"products": await products(self._client)})

    async def list(self, request: Request) -> Response:
        """A list for one user, with everything that is needed to reorder it."""
        return _json(await ask(self._client, await body(request, Asked)))

    async def watch_(self, request: Request) -> Response:
        """Health of products, and the figures of the server's ``/metrics``."""
        return _json({"products": await products(self._client), **self._watch.said()})


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status)


async def _failed(_: Request, problem: Exception) -> Response:
    """An error of the API, as it says itself. The page adds, by its code, what to do."""
    assert isinstance(problem, grpc.RpcError)  # noqa: S101 - Starlette calls this for nothing else
    failure = failure_of(problem)
    code = failure.code.name
    # what gRPC itself says of a server that is away names its own calls, not what is wrong
    said = failure.message if failure.reason else ""
    return _json({"error": {"code": code if code in CODES else "OTHER", "said": said, "field": failure.field}}, 502)


async def _wrong(_: Request, problem: Exception) -> Response:
    """What the console itself finds wrong with a request."""
    field = problem.field if isinstance(problem, InvalidArgument) else ""
    said = problem.description if isinstance(problem, InvalidArgument) else str(problem)
    return _json({"error": {"code": "INVALID_ARGUMENT", "said": said, "field": field}}, 400)


async def _refused(_: Request, problem: Exception) -> Response:
    """What the console does not do."""
    assert isinstance(problem, Refused)  # noqa: S101 - as above
    return _json({"error": {"code": problem.code, "said": "", "field": ""}}, problem.status)
