"""While a server is crowded, calls for lists wait in gRPC's core, which ends those that are too many; others do not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from cuvee.serving.admission import intake

UNSEEN = 10
MANY = 60
OPTIONS = [
    ("grpc.server.max_pending_requests", UNSEEN),
    ("grpc.server.max_pending_requests_hard_limit", UNSEEN),
    ("grpc.http.tarpit", 0),
]


class Serving:
    """A server of two methods, one of which waits while it is crowded."""

    def __init__(self) -> None:
        self.crowded = False
        self.pause = 3600.0
        """Seconds: none is taken in while it is crowded, in a test's time."""
        self.taken_in = 0

    async def lists(self, _request: bytes, _context: object) -> bytes:
        self.taken_in += 1
        return b"list"

    async def other(self, _request: bytes, _context: object) -> bytes:
        return b"other"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[grpc.aio.Channel]:
        server = intake.server_that_waits(OPTIONS, ["/toy/Lists"], lambda: self.pause if self.crowded else 0.0)
        lists = grpc.unary_unary_rpc_method_handler(self.lists)
        server.add_registered_method_handlers("toy", {"Lists": lists})
        other = grpc.unary_unary_rpc_method_handler(self.other)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("toy", {"Other": other}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]) as channel:
                yield channel
        finally:
            await server.stop(0)


async def asked(channel: grpc.aio.Channel, method: str) -> str:
    try:
        await channel.unary_unary(method)(b"", timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_where_there_is_room_all_are_answered():
    serving = Serving()
    async with serving.running() as channel:
        found = Counter([await asked(channel, "/toy/Lists") for _ in range(MANY)])
    assert (found, serving.taken_in) == ({"OK": MANY}, MANY)


async def test_crowded_it_leaves_calls_in_the_core_which_ends_those_that_are_too_many():
    serving = Serving()
    async with serving.running() as channel:
        assert await asked(channel, "/toy/Lists") == "OK"
        serving.crowded = True
        assert await asked(channel, "/toy/Lists") == "OK", "it had been asked for before"
        calls = [asyncio.ensure_future(asked(channel, "/toy/Lists")) for _ in range(MANY)]
        ended: set[asyncio.Future[str]] = set()
        while len(ended) < MANY - UNSEEN - 1:  # the core holds one more than it was told
            ended, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.01)
        assert {one.result() for one in ended} == {"CANCELLED"}
        assert serving.taken_in == 2
        assert await asked(channel, "/toy/Other") == "OK", "other methods have a queue of their own"
        for call in calls:
            call.cancel()


async def test_crowded_it_takes_in_a_few_all_the_same():
    serving = Serving()
    serving.pause = 0.005
    serving.crowded = True
    async with serving.running() as channel:
        found = [await asked(channel, "/toy/Lists") for _ in range(5)]
    assert found == ["OK"] * 5


async def test_with_a_grpcio_that_it_does_not_know_it_takes_in_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "NEEDED", ("_make_request_call_future", "_not_there"))
    serving = Serving()
    serving.crowded = True
    async with serving.running() as channel:
        assert await asked(channel, "/toy/Lists") == "OK"


def test_the_grpcio_that_is_pinned_is_one_that_it_knows():
    assert all(hasattr(intake.cygrpc.AioServer, name) for name in intake.NEEDED)
