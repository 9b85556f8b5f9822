"""Whatever waits to be stored is committed together: one at a time when idle, many under load."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow
from cuvee.errors import UnavailableError
from cuvee.serving.threads import Threads

__all__ = ["EventWriter"]

GROUP = 1000
"""Events of one transaction, about; a call is never divided."""


@dataclass(frozen=True, slots=True)
class _Call:
    rows: Sequence[EventRow]
    stored: asyncio.Future[list[bool]]


class EventWriter:
    """Writes events for all callers of a process; one transaction goes on at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = Threads("store-writing", 1)
        self._waiting: deque[_Call] = deque()
        self._going: asyncio.Task[None] | None = None

    def write(self, rows: Sequence[EventRow]) -> asyncio.Future[list[bool]]:
        """Store rows; the future is done when they are durable, and tells for each whether it was new.

        It raises UnavailableError where the store cannot be reached. Dropping it takes nothing back.
        """
        stored: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(rows, stored))
        if self._going is None or self._going.done():
            self._going = asyncio.ensure_future(self._work())
        return stored

    async def _work(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft()]
            size = len(group[0].rows)
            while self._waiting and size + len(self._waiting[0].rows) <= GROUP:
                group.append(self._waiting.popleft())
                size += len(group[-1].rows)
            await self._commit(group)

    async def _commit(self, group: Sequence[_Call]) -> None:
        """All of a group at once; where that breaks for another reason than the store, each alone."""
        rows = [row for call in group for row in call.rows]
        try:
            stored = await self._threads.submit(self._store.write_events, rows)
        except Exception as problem:  # noqa: BLE001 - it is handed on to those who wait
            if len(group) > 1 and not isinstance(problem, UnavailableError):
                for call in group:
                    await self._commit([call])
                return
            for call in group:
                if not call.stored.done():
                    call.stored.set_exception(problem)
                    call.stored.exception()  # nobody may wait for it any more
            return
        at = 0
        for call in group:
            if not call.stored.done():
                call.stored.set_result(stored[at : at + len(call.rows)])
            at += len(call.rows)

    def close(self) -> None:
        """Let the thread go."""
        self._threads.close()
