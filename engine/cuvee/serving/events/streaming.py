"""A stream of events: events that arrive while the store is busy are committed and answered together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cuvee.data.store.rows import EventRow
from cuvee.errors import InvalidArgument, UnavailableError
from cuvee.serving.events.from_wire import MOST_EVENTS
from cuvee.serving.events.writing import EventWriter, Waiting
from cuvee.serving.guard import Malformed
from cuvee.serving.status import problem_of
from cuvee.v1 import events_pb2 as pb

__all__ = ["EventStream", "settle"]

WINDOW = 2000
"""How many events of one stream may wait for their answers: two transactions' worth, one being committed and
one being filled. Beyond that the server stops reading from the sender."""

Check = Callable[[pb.Event, pb.EventResult], EventRow | None]
"""Checks an event, fills in its result, and returns the row to store; None for a wrong event."""


@dataclass(slots=True)
class _Together:
    """The messages whose events are committed in one transaction."""

    waiting: Waiting
    answers: list[pb.StreamEventsResponse] = field(default_factory=list)
    results: list[pb.EventResult] = field(default_factory=list)
    """The results that belong to the rows in ``waiting``; they are parts of the answers."""
    count: int = 0
    """The number of events, rejected ones included."""


class EventStream:
    """One caller's stream."""

    def __init__(self, writer: EventWriter, check: Check, leaving: asyncio.Event) -> None:
        """``leaving`` is set when the server is to stop; the stream then ends."""
        self._writer = writer
        self._check = check
        self._leaving = leaving
        self._read: asyncio.Queue[_Together | None] = asyncio.Queue()
        self._last: _Together | None = None
        self._ahead = 0
        self._room = asyncio.Event()

    async def answers(
        self, requests: AsyncIterator[pb.StreamEventsRequest | Malformed]
    ) -> AsyncIterator[tuple[Sequence[pb.StreamEventsResponse], Sequence[pb.EventResult]]]:
        """Yields the answers in order, with the results of their events. The number of waiting events is bounded.

        Raises:
            UnavailableError: the store cannot be reached, or the server is leaving.
        """
        reading = asyncio.ensure_future(self._take_in(requests))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            while (found := await self._next(leaving)) is not None:
                settle(found.results, await found.waiting.stored)
                yield found.answers, found.results
                self._ahead -= found.count
                self._room.set()
            if not await reading:
                raise _leaving()
        finally:
            reading.cancel()
            leaving.cancel()

    async def _next(self, leaving: asyncio.Future[Literal[True]]) -> _Together | None:
        """The next batch of messages, or None after the last one."""
        if self._read.empty():
            one = asyncio.ensure_future(self._read.get())
            either: set[asyncio.Future[Any]] = {one, leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if one.done():
                return one.result()
            one.cancel()
            if self._read.empty():
                raise _leaving()
        return self._read.get_nowait()

    async def _take_in(self, requests: AsyncIterator[pb.StreamEventsRequest | Malformed]) -> bool:
        """Read and check messages, and queue their rows to be stored; None follows the last one.

        Returns whether the caller has ended the stream.
        """
        try:
            async for request in requests:
                if self._leaving.is_set():
                    return False
                self._add(request)
                while self._ahead >= WINDOW:
                    self._room.clear()
                    await self._room.wait()
            return True
        finally:
            self._read.put_nowait(None)

    def _add(self, request: pb.StreamEventsRequest | Malformed) -> None:
        last = self._last
        if last is None or not last.waiting.open:
            last = self._last = _Together(self._writer.write([]))
            self._read.put_nowait(last)
        before = last.count
        answer = pb.StreamEventsResponse()
        if isinstance(request, Malformed):
            _refuse(answer.result, request.problem())
            last.count += 1
        else:
            answer.sequence = request.sequence
            self._add_events(request, answer, last)
        last.answers.append(answer)
        self._ahead += last.count - before

    def _add_events(self, request: pb.StreamEventsRequest, answer: pb.StreamEventsResponse, to: _Together) -> None:
        if not request.events:
            self._add_event(request.event, answer.result, to)
            return
        problem = None
        if request.HasField("event"):
            problem = InvalidArgument("events", "comes with event; give one of them")
        elif len(request.events) > MOST_EVENTS:
            count = len(request.events)
            problem = InvalidArgument("events", f"has {count} entries; at most {MOST_EVENTS} are taken")
        if problem is not None:
            _refuse(answer.result, problem)
            to.count += 1
            return
        for event in request.events:
            self._add_event(event, answer.results.add(), to)

    def _add_event(self, event: pb.Event, result: pb.EventResult, to: _Together) -> None:
        row = self._check(event, result)
        if row is not None:
            to.waiting.rows.append(row)
            to.results.append(result)
        to.count += 1


def settle(results: Iterable[pb.EventResult], stored: Iterable[bool]) -> None:
    """Fill in the results of stored events: whether each was new."""
    for result, new in zip(results, stored, strict=True):
        result.outcome = pb.EventResult.OUTCOME_STORED if new else pb.EventResult.OUTCOME_DUPLICATE


def _refuse(result: pb.EventResult, problem: Exception) -> None:
    result.outcome = pb.EventResult.OUTCOME_REJECTED
    result.problem.CopyFrom(problem_of(problem))


def _leaving() -> UnavailableError:
    return UnavailableError("this server is shutting down; send again what has no answer yet")
