"""The measure of everything here: a gRPC server that answers at once, always the same bytes.

``python -m load.echo BYTES [aio|sync|refusing]`` prints its port. ``aio`` is grpc.aio on uvloop, which is what Cuvée's
server stands on; ``sync`` is gRPC's own threads, as few as pay. ``refusing`` takes in no call, so that gRPC's core ends
each as it comes: no server can refuse sooner.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import uvloop

__all__ = ["METHOD"]

METHOD = "/echo/Echo"
THREADS = 4
FOR_EVER = 1e6


NOTHING_WAITS = [
    ("grpc.server.max_pending_requests", 1),
    ("grpc.server.max_pending_requests_hard_limit", 1),
    ("grpc.http.tarpit", 0),
]


async def _aio(answer: bytes, *, refusing: bool = False) -> None:
    async def echo(_request: bytes, _context: Any) -> bytes:
        return answer

    server = grpc.aio.server(options=NOTHING_WAITS if refusing else None)
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    if refusing:
        time.sleep(FOR_EVER)  # the loop takes in nothing
    await server.wait_for_termination()


def _sync(answer: bytes) -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS))
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    size, kind = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "aio"
    if kind == "sync":
        _sync(b"x" * size)
    else:
        uvloop.run(_aio(b"x" * size, refusing=kind == "refusing"))
