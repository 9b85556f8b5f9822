"""EventService: what was done is checked, stored, and only then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow
from cuvee.errors import InvalidArgument, NotFound, UnavailableError
from cuvee.serving.event_checks import MOST_EVENTS, Clock, checked, stored_id
from cuvee.serving.guard import Context, Malformed, incident_of
from cuvee.serving.products import Products
from cuvee.serving.status import problem_of
from cuvee.serving.store_calls import StoreCalls
from cuvee.serving.writing import EventWriter
from cuvee.v1 import events_pb2 as pb
from cuvee.v1 import events_pb2_grpc as rpc

__all__ = ["EventServicer"]

log = structlog.get_logger(__name__)

Result = pb.EventResult
WINDOW = 1000
"""Events of one stream that may wait for their answers; a sender who is further ahead is not read."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An event of a stream that waits for its answer: rejected at once, or being stored."""

    sequence: int
    result: pb.EventResult
    stored: asyncio.Future[list[bool]] | None


class EventServicer(rpc.EventServiceServicer):
    """Takes in what users did."""

    def __init__(self, store: Store, products: Products, calls: StoreCalls, leaving: asyncio.Event) -> None:
        """``leaving`` is set when the server is to stop: streams end then."""
        self._store = store
        self._products = products
        self._calls = calls
        self._leaving = leaving
        self._writer = EventWriter(store)
        self._clock = Clock()

    def _check(self, event: pb.Event, method: str) -> tuple[Result, EventRow | None]:
        """The answer so far, and the row if there is one to store."""
        try:
            row = checked(event, self._products.served, self._clock())
        except Exception as problem:  # noqa: BLE001 - a wrong event leaves its neighbours alone
            refused = Result(event_id=event.event_id, outcome=Result.OUTCOME_REJECTED)
            refused.problem.CopyFrom(problem_of(problem, incident_of(problem, method)))
            return refused, None
        return Result(event_id=row.event_id, item_unknown=self._unknown(row)), row

    def _unknown(self, row: EventRow) -> bool:
        served = self._products.served[row.product]
        return served is not None and served.snapshot.data.catalog.items.position(row.item_id) < 0

    async def WriteEvents(self, request: pb.WriteEventsRequest, context: Context) -> pb.WriteEventsResponse:  # noqa: N802
        """As the proto says."""
        count = len(request.events)
        if not 0 < count <= MOST_EVENTS:
            raise InvalidArgument("events", f"has {count} entries; 1 to {MOST_EVENTS} are taken")
        found = [self._check(event, "WriteEvents") for event in request.events]
        rows = [row for _, row in found if row is not None]
        stored: list[bool] = []
        if rows:
            if request.validate_only:
                stored = await self._calls.ask(lambda: self._store.write_events(rows, dry=True))
            else:
                stored = await self._writer.write(rows)
        new = iter(stored)
        for result, row in found:
            if row is not None:
                result.outcome = _outcome(next(new))
        _tell_unknown([result for result, _ in found])
        return pb.WriteEventsResponse(
            results=[result for result, _ in found], stored_count=0 if request.validate_only else sum(stored)
        )

    async def StreamEvents(  # noqa: N802
        self, requests: AsyncIterator[pb.StreamEventsRequest | Malformed], context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        """As the proto says. What waits while the store is busy is bounded; then nothing more is read."""
        waiting: asyncio.Queue[_Sent | None] = asyncio.Queue(WINDOW)
        reading = asyncio.ensure_future(self._read(requests, waiting))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            while (sent := await self._next(waiting, leaving)) is not None:
                if sent.stored is not None:
                    (new,) = await sent.stored
                    sent.result.outcome = _outcome(new)
                _tell_unknown([sent.result])
                yield pb.StreamEventsResponse(sequence=sent.sequence, result=sent.result)
            if not await reading:
                raise _leaving()
        finally:
            reading.cancel()
            leaving.cancel()

    @staticmethod
    async def _next(waiting: asyncio.Queue[_Sent | None], leaving: asyncio.Future[Literal[True]]) -> _Sent | None:
        """The next that was read, or None behind the last one."""
        if waiting.empty():
            one = asyncio.ensure_future(waiting.get())
            either: set[asyncio.Future[Any]] = {one, leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if one.done():
                return one.result()
            one.cancel()
            if waiting.empty():
                raise _leaving()
        return waiting.get_nowait()

    async def _read(
        self, requests: AsyncIterator[pb.StreamEventsRequest | Malformed], waiting: asyncio.Queue[_Sent | None]
    ) -> bool:
        """Read, check and hand over to be stored; None is put behind the last one.

        Whether that was the caller's last one, too.
        """
        try:
            async for request in requests:
                if self._leaving.is_set():
                    return False
                if isinstance(request, Malformed):
                    refused = Result(outcome=Result.OUTCOME_REJECTED)
                    refused.problem.CopyFrom(problem_of(request.problem()))
                    await waiting.put(_Sent(0, refused, None))
                    continue
                result, row = self._check(request.event, "StreamEvents")
                stored = None if row is None else self._writer.write([row])
                await waiting.put(_Sent(request.sequence, result, stored))
            return True
        finally:
            await waiting.put(None)

    async def MergeUsers(self, request: pb.MergeUsersRequest, context: Context) -> pb.MergeUsersResponse:  # noqa: N802
        """As the proto says."""
        product = request.product
        stored_id("product", product)
        if product not in self._products.served:
            raise NotFound("product", product, sorted(self._products.served))
        anonymous, user = stored_id("anonymous_id", request.anonymous_id), stored_id("user_id", request.user_id)
        if anonymous == user:
            raise InvalidArgument("user_id", "is the anonymous_id, too; there is nothing to merge")
        merged = await self._calls.ask(
            lambda: self._store.merge_users(product, anonymous, user, dry=request.validate_only)
        )
        return pb.MergeUsersResponse(moved_event_count=merged.events, profile_merged=merged.profile)

    def close(self) -> None:
        """Let idle threads go."""
        self._writer.close()


def _leaving() -> UnavailableError:
    return UnavailableError("this server is shutting down; send again what has no answer yet")


def _outcome(new: bool) -> pb.EventResult.Outcome.ValueType:
    return Result.OUTCOME_STORED if new else Result.OUTCOME_DUPLICATE


def _tell_unknown(results: list[pb.EventResult]) -> None:
    """Count in the log what the catalogue does not know; ids stay out of it."""
    unknown = sum(r.item_unknown for r in results if r.outcome == Result.OUTCOME_STORED)
    if unknown:
        log.info("events of unknown items", count=unknown)
