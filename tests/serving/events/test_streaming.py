"""A stream of events from the inside: what is read while the store is busy is bounded, and committed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from cuvee.data.store.rows import EventRow, now
from cuvee.errors import UnavailableError
from cuvee.serving.events.streaming import WINDOW, EventStream
from cuvee.serving.events.writing import EventWriter
from cuvee.serving.telemetry.figures import Figures
from cuvee.v1 import events_pb2 as pb


class SlowStore:
    """Commits when it is let; remembers how many rows each time."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.commits: list[int] = []
        self.problem: Exception | None = None

    def write_events(self, rows: Sequence[EventRow]) -> list[bool]:
        self.let.wait(10)
        if self.problem:
            raise self.problem
        self.commits.append(len(rows))
        return [True] * len(rows)


def row(event: pb.Event, result: pb.EventResult) -> EventRow:
    result.event_id = event.event_id
    return EventRow("toy", event.event_id, "ann", "film", 1, 1.0, now(), now())


class Sender:
    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    async def requests(self) -> AsyncIterator[Any]:
        for n in range(self.count):
            self.read += 1
            yield pb.StreamEventsRequest(sequence=n, event=pb.Event(event_id=f"{n}"))
            await asyncio.sleep(0)


async def answers_of(stream: EventStream, sender: Sender) -> list[int]:
    return [answer.sequence async for answers, _ in stream.answers(sender.requests()) for answer in answers]


def run(store: SlowStore, sender: Sender, leaving: asyncio.Event | None = None) -> Any:
    async def main() -> tuple[int, list[int]]:
        writer = EventWriter(store, Figures())  # type: ignore[arg-type]
        stream = EventStream(writer, row, leaving or asyncio.Event())
        going = asyncio.ensure_future(answers_of(stream, sender))
        before = -1
        while before != sender.read and not going.done():
            before = sender.read
            await asyncio.sleep(0.05)
        store.let.set()
        try:
            return before, await going
        finally:
            writer.close()

    return asyncio.run(main())


def test_while_the_store_is_busy_a_sender_is_read_as_far_as_the_window_and_no_further():
    store, sender = SlowStore(), Sender(3 * WINDOW)
    read, answered = run(store, sender)
    assert read == WINDOW
    assert answered == list(range(3 * WINDOW)), "and all of it in the end"


def test_what_waits_is_committed_together():
    store, sender = SlowStore(), Sender(500)
    _, answered = run(store, sender)
    assert answered == list(range(500))
    assert store.commits[:2] == [1, 499], "the first went alone, the others waited for it"


def test_a_store_that_is_away_ends_the_stream():
    store = SlowStore()
    store.problem = UnavailableError("away")
    with pytest.raises(UnavailableError):
        run(store, Sender(10))


def test_a_server_that_leaves_answers_nothing_it_does_not_have():
    async def main() -> None:
        leaving = asyncio.Event()
        leaving.set()
        writer = EventWriter(SlowStore(), Figures())  # type: ignore[arg-type]
        with pytest.raises(UnavailableError, match="send again"):
            await answers_of(EventStream(writer, row, leaving), Sender(10))
        writer.close()

    asyncio.run(main())
