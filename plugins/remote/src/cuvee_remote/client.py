"""The client: calls of a remote recommender, and the catalogue that it must know for them.

There is no breaker, queue or retry here, since the engine has those. Cancelling a call's task cancels the call on
the other side too, so a request's budget also limits the call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import grpc
from cuvee import trace_headers
from cuvee.channels import TO_A_SERVER, PerLoop
from cuvee.recommender import SourceFailure
from cuvee.v1 import recommender_pb2 as pb
from google.protobuf.message import DecodeError, Message

from cuvee_remote.failures import closed, failure_of, invalid
from cuvee_remote.tables import Table

__all__ = ["OPTIONS", "RemoteClient"]

M = TypeVar("M", bound=Message)

OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20), *TO_A_SERVER)
SERVICE = pb.DESCRIPTOR.services_by_name["RecommenderService"].full_name
OPEN_WITHIN = 30.0
"""Seconds that a table of items may take on its way."""

_SENT: MutableMapping[str, tuple[str, int]] = {}
"""By address, the key and the number of rows of the table that this process sent last: a catalogue that has grown is
sent as what is new. The other side may have forgotten it, and says so."""
_SENDING = threading.Lock()


class _Call(Protocol):
    """One of gRPC's methods, from bytes to bytes."""

    async def __call__(
        self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]
    ) -> bytes:  # pragma: no cover - a type
        """The answer's bytes."""


class _Stub:
    """The methods of one channel. Answers stay bytes: gRPC would log each one that cannot be parsed, and give None."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        unary: Callable[[str], Any] = channel.unary_unary
        self.calls: dict[str, _Call] = {
            name: unary(f"/{SERVICE}/{name}") for name in ("Candidates", "Score", "Explain")
        }
        self.open: Any = channel.stream_unary(
            f"/{SERVICE}/OpenCatalogue", request_serializer=pb.OpenCatalogueRequest.SerializeToString
        )
        self.opening: asyncio.Task[None] | None = None


class RemoteClient:
    """Calls the recommender at one address about one catalogue. May be used from any event loop and any thread."""

    def __init__(self, address: str, deadline: float, table: Table) -> None:
        """``deadline`` in seconds, for each call."""
        self._address = address
        self._deadline = deadline
        self._table = table
        self._channels = PerLoop(address, OPTIONS, _Stub)
        self._is_open = False
        self.reachable = True
        """By the last call; True before the first one."""

    @property
    def catalogue(self) -> str:
        """The key of the table that requests name."""
        return self._table.key

    async def ask(self, method: str, request: Message, answer: type[M], patience: float = 1.0) -> M:
        """One call, within ``patience`` times the deadline; the catalogue is sent before it where it is not known.

        Raises:
            SourceFailure: with the typed reason.
        """
        stub = self._channels.stub()
        if stub is None:
            raise closed()
        sent = request.SerializeToString()
        if not self._is_open:
            await self._opened(stub)
        try:
            try:
                came = await self._call(stub, method, sent, patience)
            except grpc.aio.AioRpcError as problem:
                if problem.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                self._is_open = False  # the other process is a new one
                await self._opened(stub)
                came = await self._call(stub, method, sent, patience)
        except grpc.aio.AioRpcError as problem:
            self.reachable = problem.code() is not grpc.StatusCode.UNAVAILABLE
            raise failure_of(problem.code(), problem.details()) from problem
        except grpc.aio.UsageError as problem:  # the channel was closed in the meantime
            raise closed() from problem
        self.reachable = True
        try:
            return answer.FromString(came)
        except DecodeError as problem:
            raise invalid(f"the answer to {method} is no {answer.__name__}") from problem

    async def _call(self, stub: _Stub, method: str, sent: bytes, patience: float) -> bytes:
        return await stub.calls[method](sent, timeout=patience * self._deadline, metadata=trace_headers())

    async def _opened(self, stub: _Stub) -> None:
        """Wait until the table is there. It goes on being sent where the call that asked for it is cancelled."""
        if stub.opening is None or stub.opening.done():
            stub.opening = asyncio.create_task(self._open(stub))
            stub.opening.add_done_callback(_heard)
        await asyncio.shield(stub.opening)

    async def _open(self, stub: _Stub) -> None:
        """Send the table: what is new of it, or all of it.

        Raises:
            SourceFailure: it could not be sent, or did not arrive whole.
        """
        with _SENDING:
            before = _SENT.get(self._address)
        begins = before is not None and await asyncio.to_thread(self._table.begins_with, *before)
        extends = before if begins else None
        try:
            try:
                came = await stub.open(self._messages(extends), timeout=OPEN_WITHIN)
            except grpc.aio.AioRpcError as problem:
                if extends is None or problem.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                came = await stub.open(self._messages(None), timeout=OPEN_WITHIN)
        except grpc.aio.AioRpcError as problem:
            self.reachable = problem.code() is not grpc.StatusCode.UNAVAILABLE
            raise failure_of(problem.code(), problem.details()) from problem
        except grpc.aio.UsageError as problem:
            raise closed() from problem
        try:
            size = pb.OpenCatalogueResponse.FromString(came).size
        except DecodeError as problem:
            raise invalid("the answer to OpenCatalogue is no OpenCatalogueResponse") from problem
        if size != len(self._table):
            raise invalid(f"the remote recommender has {size} rows of the catalogue's {len(self._table)}")
        self._is_open = True
        if not self._table.columns:
            with _SENDING:
                _SENT[self._address] = self._table.key, len(self._table)

    async def _messages(self, extends: tuple[str, int] | None) -> AsyncIterator[pb.OpenCatalogueRequest]:
        messages = self._table.messages(extends)
        while (message := await asyncio.to_thread(next, messages, None)) is not None:
            yield message

    def close(self) -> None:
        """Close every channel. May be called again, and from any thread."""
        self._channels.close()


def _heard(task: asyncio.Task[None]) -> None:
    """Whoever waited for it was told; where nobody did, the next call asks again."""
    with suppress(asyncio.CancelledError, SourceFailure):
        task.result()
