"""Group commit: all waiting rows are committed together, a few when idle, many under load."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow
from cuvee.errors import UnavailableError
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.threads import Threads
from cuvee.serving.tracing.calls import Asked, current
from cuvee.serving.tracing.store import StoreTimes

__all__ = ["EventWriter", "Waiting"]

GROUP = 1000
"""About how many events one transaction has; a call's events are never split."""


@dataclass(slots=True)
class Waiting:
    """Rows that are waiting to be committed together."""

    rows: list[EventRow]
    """Rows may be added until this is set."""
    stored: asyncio.Future[list[bool]]
    """Done when the rows are durable; its result says for each whether it was new. It raises
    UnavailableError where the store cannot be reached. Cancelling it does not undo the write."""
    asked: Asked = field(default_factory=current)
    """The first call whose rows these are."""
    taken: bool = False

    @property
    def open(self) -> bool:
        """Whether rows may be added."""
        return not self.taken and len(self.rows) < GROUP


class EventWriter:
    """Writes events for all callers of a process, one transaction at a time."""

    def __init__(self, store: Store, figures: Figures) -> None:
        self._store = store
        self._figures = figures
        self._timed = StoreTimes(figures, "write_events")
        self._threads = Threads("store-writing", 1)
        self._waiting: deque[Waiting] = deque()
        self._going: asyncio.Task[None] | None = None

    def write(self, rows: list[EventRow]) -> Waiting:
        """Queue rows to be stored with the others that are waiting."""
        waiting = Waiting(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._going is None or self._going.done():
            self._going = asyncio.ensure_future(self._work())
        return waiting

    async def _work(self) -> None:
        while self._waiting:
            group = [self._take()]
            size = len(group[0].rows)
            while self._waiting and size + len(self._waiting[0].rows) <= GROUP:
                group.append(self._take())
                size += len(group[-1].rows)
            await self._commit(group)

    def _take(self) -> Waiting:
        first = self._waiting.popleft()
        first.taken = True
        return first

    async def _commit(self, group: Sequence[Waiting]) -> None:
        """Store a group at once; where that fails although the store can be reached, store each part alone."""
        rows = [row for one in group for row in one.rows]
        try:
            with self._timed.started([one.asked for one in group]):
                stored = await self._threads.submit(self._store.write_events, rows) if rows else []
        except Exception as problem:  # noqa: BLE001 - it is raised in the waiting callers
            if len(group) > 1 and not isinstance(problem, UnavailableError):
                for one in group:
                    await self._commit([one])
                return
            for one in group:
                if not one.stored.done():
                    one.stored.set_exception(problem)
                    one.stored.exception()  # its caller may have been cancelled
            return
        for product, count in Counter(row.product for row, new in zip(rows, stored, strict=True) if new).items():
            self._figures.count("cuvee_events_written_total", product, by=count)
        at = 0
        for one in group:
            if not one.stored.done():
                one.stored.set_result(stored[at : at + len(one.rows)])
            at += len(one.rows)

    def close(self) -> None:
        """Stop the thread."""
        self._threads.close()
