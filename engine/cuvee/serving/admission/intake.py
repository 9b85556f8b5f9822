"""How calls come from gRPC's core to Python: while many wait here already, the next ones are left there.

gRPC's core ends by itself what it holds too much of (``connections.unseen``), at once and for a fraction of what a
refusal in Python costs. So a server that is asked several times what it can do spends its time on lists, those who get
none hear it soon, and whoever is taken in gets an answer.

grpc.aio has no public way to say "not now", so this overrides the method with which its server asks the core for one
more call. Where a version of grpcio has no such method, the server takes in all calls, and refuses in Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import grpc.aio
import structlog
from grpc._cython import cygrpc
from grpc.aio import _server as aio

__all__ = ["server_that_waits"]

NEEDED = ("_make_request_call_future", "_request_registered_call")
"""What is overridden and called of grpc.aio's own core server."""

log = structlog.get_logger(__name__)


def server_that_waits(
    options: Sequence[tuple[str, int]], methods: Collection[str], hold: Callable[[], float]
) -> grpc.aio.Server:
    """A server that takes in calls of some methods slowly while ``hold`` says so.

    Args:
        options: gRPC's.
        methods: ``/package.Service/Method``; they have to be added by ``add_registered_method_handlers``, so that
            calls of other methods have a queue of their own and never wait behind these.
        hold: asked before each call of these methods: for how many seconds it is left in the core.
    """
    core = getattr(cygrpc, "AioServer", None)
    if not all(hasattr(core, name) for name in NEEDED):
        log.warning("overload is refused in Python only", problem="this grpcio is not one that we know; see its pin")
        return grpc.aio.server(options=options)
    made: Any = _Server(_core_server(core, options, frozenset(one.encode() for one in methods), hold))
    return cast("grpc.aio.Server", made)


class _Server(aio.Server):
    """grpc.aio's, over a core server of ours."""

    def __init__(self, core: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = core


def _core_server(
    core: Any, options: Sequence[tuple[str, int]], methods: frozenset[bytes], hold: Callable[[], float]
) -> Any:
    loop = asyncio.get_running_loop()

    class Waiting(core):  # type: ignore[misc]
        """Asks the core for calls of these methods only while there is room for them."""

        def _make_request_call_future(self, method: bytes | None) -> Any:
            if method in methods and (seconds := hold()):
                return loop.create_task(self._later(method, seconds))
            return super()._make_request_call_future(method)

        async def _later(self, method: bytes, seconds: float) -> Any:
            await asyncio.sleep(seconds)
            return await self._request_registered_call(method)

    return Waiting(loop, None, (), (), tuple(options), None)
