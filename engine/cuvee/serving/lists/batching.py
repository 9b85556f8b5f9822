"""Whatever waits is answered as one batch: no added wait when idle, few and large runs under load."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cuvee.errors import DeadlineExceeded
from cuvee.serving.deadline import left_until

__all__ = ["BATCH", "Batcher"]

R = TypeVar("R")
A = TypeVar("A")

BATCH = 64
"""Rows of a batch at most: beyond, a product of matrices gains little, and the first row waits long."""


@dataclass(slots=True)
class _Waiting(Generic[R, A]):
    row: R
    deadline: float
    answer: asyncio.Future[A]


class Batcher(Generic[R, A]):
    """Gathers rows of one kind into runs, of which at most ``most`` go on at a time."""

    def __init__(self, run: Callable[[Sequence[R], float], Awaitable[Sequence[A | Exception]]], most: int) -> None:
        """``run`` answers rows in their order by a deadline (monotonic); an error is a row's answer, too."""
        self._run = run
        self._most = most
        self._waiting: OrderedDict[Hashable, deque[_Waiting[R, A]]] = OrderedDict()
        self._going: set[asyncio.Task[None]] = set()
        self._called = False

    async def ask(self, row: R, kind: Hashable, deadline: float) -> A:
        """The row's answer, out of a batch with others of its kind and of like haste.

        Raises whatever the run raises, and :class:`cuvee.errors.DeadlineExceeded` when its turn
        comes too late.
        """
        loop = asyncio.get_running_loop()
        # a batch has one deadline, its nearest; within a factor of two nobody loses much by that
        haste = math.frexp(max(left_until(deadline), 0.0))[1]
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting.setdefault((kind, haste), deque()).append(_Waiting(row, deadline, answer))
        if not self._called:
            # after all else that is ready: requests that came together are answered together
            self._called = True
            loop.call_soon(self._start)
        return await answer

    def _start(self) -> None:
        self._called = False
        while self._waiting and len(self._going) < self._most:
            batch = self._next()
            if batch:
                task = asyncio.ensure_future(self._answer(batch))
                self._going.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        self._start()

    def _next(self) -> list[_Waiting[R, A]]:
        """The rows of the kind whose turn it is, less those that nobody waits for any more."""
        kind, waiting = self._waiting.popitem(last=False)
        batch: list[_Waiting[R, A]] = []
        while waiting and len(batch) < BATCH:
            one = waiting.popleft()
            if one.answer.done():
                continue
            if left_until(one.deadline) <= 0:
                one.answer.set_exception(DeadlineExceeded("the server is too busy to answer within the deadline"))
                continue
            batch.append(one)
        if waiting:
            self._waiting[kind] = waiting
        return batch

    async def _answer(self, batch: list[_Waiting[R, A]]) -> None:
        try:
            answers = await self._run([one.row for one in batch], min(one.deadline for one in batch))
        except Exception as problem:  # noqa: BLE001 - it is handed on to everyone who waits for it
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(problem)
            return
        for one, answer in zip(batch, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
