"""Connections that ask for nothing, for too much, or never read: what they do to those who ask beside them."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import grpc
from cuvee.client import Client
from cuvee.v1 import recommendation_pb2 as pb
from load.echo import METHOD as ECHO
from load.requests import METHOD
from load.wire import DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame, text

__all__ = ["KINDS", "p99", "p99_of_echo"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_SIZE = 4
"""SETTINGS_INITIAL_WINDOW_SIZE."""
AT_A_TIME = 200
"""Frames of a flood before its connection is made anew."""
PAUSE = 0.02
"""Seconds before that."""
READERS, CALLS = 50, 20
"""Connections that never read, and the calls of each."""


def p99(address: str, product: str, users: Sequence[str], calls: int) -> float:
    """Seconds that all but one in a hundred of so many calls took, one after another; one that fails is endless."""
    with Client(address) as client:
        return _p99(lambda n: client.recommend(product, users[n % len(users)], page_size=5, timeout=10), calls)


def p99_of_echo(address: str, calls: int) -> float:
    """The same of an empty server of gRPC: what a crowd does to that, no server of ours can undo."""
    with grpc.insecure_channel(address) as channel:
        echo: Any = channel.unary_unary(ECHO)
        return _p99(lambda _: echo(b"", timeout=10), calls)


def _p99(ask: Callable[[int], object], calls: int) -> float:
    took = []
    for n in range(calls + 1):
        began = time.perf_counter()
        try:
            ask(n)
        except grpc.RpcError:
            took.append(math.inf)
        else:
            took.append(time.perf_counter() - began)
    del took[0]  # it connects
    return sorted(took)[int(0.99 * (len(took) - 1))]


def _connected(address: str, settings: bytes = b"") -> socket.socket:
    host, _, port = address.rpartition(":")
    one = socket.create_connection((host, int(port)), timeout=20)
    one.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return one


def _headers(address: str, path: str = METHOD) -> bytes:
    return (
        b"\x83\x86" + (b"\x04" + text(path)) + (b"\x01" + text(address))
        + (b"\x00" + text("te") + text("trailers")) + (b"\x0f\x10" + text("application/grpc"))
    )  # fmt: skip


@contextmanager
def idle(address: str, _product: str, many: int = 1000) -> Iterator[None]:
    """Connections without a call."""
    with ExitStack() as open_:
        for _ in range(many):
            open_.enter_context(_connected(address))
        yield


@contextmanager
def slow_readers(address: str, product: str) -> Iterator[None]:
    """Calls without a deadline whose callers take in no byte of an answer, as their window is 0."""
    body = pb.RecommendRequest(product=product, user_id="viewer-001").SerializeToString()
    message = b"\0" + struct.pack(">I", len(body)) + body
    with ExitStack() as open_:
        for _ in range(READERS):
            one = open_.enter_context(_connected(address, struct.pack(">HI", WINDOW_SIZE, 0)))
            for n in range(CALLS):
                stream = 2 * n + 1
                one.sendall(frame(HEADERS, END_HEADERS, stream, _headers(address)))
                one.sendall(frame(DATA, END_STREAM, stream, message))
        yield


@contextmanager
def _flood(address: str, piece: Callable[[int], bytes]) -> Iterator[None]:
    """Frames one after another, on a new connection whenever the server closes one."""
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            try:
                with _connected(address) as one:
                    for n in range(AT_A_TIME):
                        one.sendall(piece(n))
                    over.wait(PAUSE)
            except OSError:
                time.sleep(0.01)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


@contextmanager
def resets(address: str, _product: str) -> Iterator[None]:
    """Calls that are reset as soon as they are begun (CVE-2023-44487)."""
    headers = _headers(address)

    def piece(n: int) -> bytes:
        begun = frame(HEADERS, END_HEADERS, 2 * n + 1, headers)
        return begun + frame(RST_STREAM, 0, 2 * n + 1, struct.pack(">I", 8))

    with _flood(address, piece):
        yield


@contextmanager
def pings(address: str, _product: str) -> Iterator[None]:
    """Pings without end."""
    with _flood(address, lambda n: frame(PING, 0, 0, struct.pack(">Q", n))):
        yield


KINDS: Mapping[str, Callable[[str, str], AbstractContextManager[None]]] = {
    "1,000 idle connections": idle,
    "slow readers": slow_readers,
    "rapid resets": resets,
    "pings": pings,
}
"""Each is entered with an address and a product's name."""
