"""Latency of Recommend beside an empty gRPC echo: both servers run, calls alternate, one process asks.

Run by ``make bench``. Prints p50 and p99 of each in milliseconds and their ratio, which is what
counts: the machine's own speed cancels out. The product is the demo's; ``make demo`` makes it.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
from cuvee.client import Client, profile
from cuvee.testing import run_server

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "var" / "demo" / "cuvee.toml"
CALLS = 1000
WARM_UP = 50

Echo = Callable[[bytes], bytes]

ECHO = """
import asyncio, grpc, uvloop
async def main():
    server = grpc.aio.server()
    echo = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": echo}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()
async def answer(request, context):
    return request
uvloop.run(main())
"""


def raw(message: bytes) -> bytes:
    """What an echo sends is bytes already."""
    return message


def timed(call: object) -> float:
    """Milliseconds that one call takes."""
    started = time.perf_counter()
    call()  # type: ignore[operator]
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """Alternate the two, so that noise hits both."""
    if not CONFIG.exists():
        sys.exit("latency: run `make demo` first")
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        port = int(echo.stdout.readline())  # type: ignore[union-attr]
        with run_server(CONFIG) as server, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/echo/Echo", raw, raw)
            measure(server.client, ask)
    finally:
        echo.kill()


def measure(client: Client, ask: Echo) -> None:
    """Print the table."""
    declared = profile(interests={"genres": ["Film-Noir"]})
    users = np.random.default_rng(0).integers(1, 944, CALLS + WARM_UP)
    kinds = {
        "echo": lambda user: ask(b"x" * 100),
        "warm user, 5 sources": lambda user: client.recommend("movies", user_id=user),
        "new user, 3 clicks": lambda user: client.recommend("movies", context_item_ids=["50", "172", "181"]),
        "new user, declared": lambda user: client.recommend("movies", profile=declared),
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for user in users:
        for kind, call in kinds.items():
            took[kind].append(timed(lambda call=call, user=user: call(str(user))))
    base = np.percentile(took["echo"][WARM_UP:], [50, 99])
    sys.stdout.write(f"{'':24}{'p50 ms':>8}{'p99 ms':>8}{'x echo p50':>12}\n")
    for kind, values in took.items():
        p50, p99 = np.percentile(values[WARM_UP:], [50, 99])
        sys.stdout.write(f"{kind:24}{p50:8.2f}{p99:8.2f}{p50 / base[0]:12.1f}\n")


if __name__ == "__main__":
    main()
