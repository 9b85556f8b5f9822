"""A bounded pool of threads without a queue, in which a stuck thread affects no other caller.

The standard pool has an unbounded queue, and at exit waits for every thread. Here a call that finds
all slots taken fails at once, and threads are daemons: one that never returns only costs its slot,
and blocks neither other sources nor the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["AllTaken", "Threads"]

IDLE = 10.0
"""Seconds after which a thread without work ends; the next call that needs one starts another."""

T = TypeVar("T")


class AllTaken(Exception):
    """Every slot is taken."""


class Threads:
    """At most ``size`` calls at a time; threads are started when they are needed, and end when they are not."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._lock = threading.Lock()
        self._taken = 0
        self._started = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._turns = asyncio.Semaphore(size)

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._taken

    def take(self) -> None:
        """Take a slot for work that runs elsewhere (on the loop); return it by :meth:`release`.

        Raises:
            AllTaken: there is none.
        """
        with self._lock:
            if self._taken >= self.size:
                raise AllTaken
            self._taken += 1

    def release(self) -> None:
        """Return a slot."""
        with self._lock:
            self._taken -= 1

    def submit(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call in a thread; the future belongs to the running loop. Cancelling it does not stop the call.

        Raises:
            AllTaken: there is no free slot.
        """
        self.take()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            value: T | None = None
            problem: Exception | None = None
            try:
                value = function(*args)
            except Exception as raised:  # noqa: BLE001 - whatever it is, it belongs to the caller
                problem = raised
            except BaseException as raised:  # noqa: BLE001 - a plugin's sys.exit() must not end the server
                problem = RuntimeError(f"raised {type(raised).__name__}")
            self.release()
            try:
                loop.call_soon_threadsafe(_deliver, future, value, problem)
            except RuntimeError:  # the loop was closed meanwhile, so nobody waits
                return

        self._put(call)
        return future

    def start(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Call in a thread; the future belongs to no loop, and may be waited for in any thread.

        Raises:
            AllTaken: there is no free slot.
        """
        self.take()
        future: Future[T] = Future()

        def call() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    _settle(future, function, args)
            finally:
                self.release()

        self._put(call)
        return future

    async def in_turn(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """Call in a thread, after waiting for a slot where all are busy; ``seconds`` limits both together.

        Raises:
            TimeoutError: it took longer.
            AllTaken: all slots are taken by stuck calls that have timed out.
        """
        async with asyncio.timeout(seconds), self._turns:
            return await self.submit(function, *args)

    def close(self) -> None:
        """End idle threads; busy ones end when their call returns."""
        for _ in range(self._started):
            self._work.put(None)

    def _put(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._started < min(self._taken, self.size):
                self._started += 1
                threading.Thread(target=self._serve, name=f"{self.name}-{self._started}", daemon=True).start()
            self._work.put(call)

    def _serve(self) -> None:
        while True:
            try:
                call = self._work.get(timeout=IDLE)
            except Empty:
                with self._lock:  # work is put under it, so none comes in between
                    if self._work.empty():
                        self._started -= 1
                        return
                continue
            if call is None:
                return
            call()
            del call  # an idle thread holds on to nothing


def _settle(future: Future[T], function: Callable[..., T], args: Sequence[Any]) -> None:
    try:
        value = function(*args)
    except Exception as raised:  # noqa: BLE001 - whatever it is, it belongs to the caller
        future.set_exception(raised)
    except BaseException as raised:  # noqa: BLE001 - a plugin's sys.exit() must not end the server
        future.set_exception(RuntimeError(f"raised {type(raised).__name__}"))
    else:
        future.set_result(value)


def _deliver(future: asyncio.Future[T], value: T | None, problem: Exception | None) -> None:
    if future.done():
        return
    if isinstance(problem, StopIteration):  # a future refuses it
        problem = RuntimeError("raised StopIteration")
    if problem is not None:
        future.set_exception(problem)
    else:
        future.set_result(value)  # type: ignore[arg-type]
