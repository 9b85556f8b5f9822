"""Whatever waits is answered as one batch: no added wait when idle, few and large runs under load.

A run that waits for a model server leaves the core free, and the next may begin beside it. Were every
request that comes in the meantime a run of its own, batches would stay small, and each costs as much as a large one.
So a run begins beside others only with as many rows as they have, or when they have taken long.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cuvee.errors import DeadlineExceeded, Overloaded
from cuvee.serving.deadline import left_until
from cuvee.serving.scheduling.core import Core, Hold, Lost, Offer

__all__ = ["BATCH", "Batcher", "Run"]

R = TypeVar("R")
A = TypeVar("A")

BATCH = 64
"""Rows of a batch at most: beyond, a product of matrices gains little, and the first row waits long."""
HOPEFUL = 0.8
"""Of what is left of a deadline: a row that would wait longer than this is refused at once."""
BESIDE = 0.03
"""Seconds after which a run that has not ended keeps no other from beginning: it waits for something slow."""
MEMORY = 0.1
"""Weight of the newest run in the mean time of a row."""

Run = Callable[[Hold, Offer], Sequence[A | Exception]]
"""Answers the rows that it was made for, in their order; an error is a row's answer, too."""


@dataclass(slots=True, eq=False)
class _Begun:
    """A run that has not ended."""

    rows: int
    at: float
    """In the time of ``time.monotonic``."""
    abandon: Callable[[], None]
    left: int = 0
    """Rows whose callers have left."""


@dataclass(slots=True)
class _Waiting(Generic[R, A]):
    row: R
    deadline: float
    answer: asyncio.Future[A]
    begun: _Begun | None = None
    """The run that took it."""
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[R, A]):
    """Gathers rows of one kind into runs, which take the core in turn. ``ask`` is for the event loop alone."""

    def __init__(
        self,
        core: Core,
        begin: Callable[[Sequence[R], float, asyncio.AbstractEventLoop], Run[A]],
        abandon: Callable[[Run[A]], None] | None = None,
        waited: Callable[[float], None] | None = None,
    ) -> None:
        """``begin`` makes a run for rows, which has until a deadline (monotonic).

        ``abandon`` is called with a run that goes on when all of its callers have left, and ``waited`` with the seconds
        for which the first row of a run had waited; both on the event loop.
        """
        self._waited = waited
        self._abandon = abandon
        self._core = core
        self._begin = begin
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, deque[_Waiting[R, A]]] = OrderedDict()
        self._count = 0
        self._offered = False
        self._begun: set[_Begun] = set()
        self._look: asyncio.TimerHandle | None = None
        self._seconds = 0.0
        """Of the core, for one row."""

    @property
    def waiting(self) -> int:
        """Rows that no run has taken yet."""
        return self._count

    async def ask(self, row: R, kind: Hashable, deadline: float) -> A:
        """The row's answer, out of a batch with others of its kind and of like haste.

        Raises whatever the run raises; :class:`cuvee.errors.Overloaded` at once, when so many wait that
        its turn would come too late; :class:`cuvee.errors.DeadlineExceeded` when it does.
        """
        left = max(left_until(deadline), 0.0)
        wait = self._count * self._seconds
        if wait > HOPEFUL * left:
            raise Overloaded("more requests wait than can be answered in time; try again later", wait)
        # a batch has one deadline, its nearest; within a factor of two nobody loses much by that
        haste = math.frexp(left)[1]
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        with self._lock:
            one = _Waiting(row, deadline, answer)
            self._waiting.setdefault((kind, haste), deque()).append(one)
            self._count += 1
        self._offer()
        if not self._offered:
            self._look_later(answer.get_loop())
        try:
            return await answer
        except asyncio.CancelledError:
            if one.begun is not None:
                one.begun.left += 1
                if one.begun.left == one.begun.rows:
                    one.begun.abandon()
            raise

    def _offer(self) -> None:
        """Ask for the core, if enough rows wait. From any thread."""
        with self._lock:
            if self._offered or not self._worthwhile():
                return
            self._offered = True
        try:
            self._core.offer(self._work)
        except RuntimeError:  # no thread can be started
            self._offered = False
            raise

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the event loop: try again, should no run end before."""
        if self._look is None:
            self._look = loop.call_later(BESIDE, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look = None
        self._offer()
        if self._count and not self._offered:
            self._look_later(loop)

    def _worthwhile(self) -> bool:
        """With the lock: whether a run may begin beside those that have not ended."""
        since = time.monotonic() - BESIDE
        return self._count > 0 and self._count >= min(BATCH, sum(run.rows for run in self._begun if run.at > since))

    async def ask_many(self, rows: Sequence[R], deadline: float) -> Sequence[A | Exception]:
        """The answers of rows of one kind, as a run of their own."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[Sequence[A | Exception]] = loop.create_future()
        run = _Begins(lambda: self._begin(rows, deadline, loop))

        def work(hold: Hold) -> None:
            found = _answers(run, hold, work, len(rows))
            run.end()
            loop.call_soon_threadsafe(_deliver, answers, found)

        self._core.offer(work)
        try:
            return await answers
        except asyncio.CancelledError:
            self._give_up(run)
            raise

    def _give_up(self, run: _Begins[A]) -> None:
        made = run.made  # None where the run has ended, or not begun
        if self._abandon is not None and made is not None:
            self._abandon(made)

    def _work(self, hold: Hold) -> None:
        """In the thread that took the core: a batch of whatever waits now."""
        batch = self._next()
        if not batch:
            return
        loop = batch[0].answer.get_loop()
        deadline = min(one.deadline for one in batch)
        run = _Begins(lambda: self._begin([one.row for one in batch], deadline, loop))
        begun = _Begun(len(batch), time.monotonic(), lambda: self._give_up(run))
        for one in batch:
            one.begun = begun
        with self._lock:
            self._begun.add(begun)
        _Work(self, run, batch, begun)(hold)

    def done(
        self, batch: Sequence[_Waiting[R, A]], begun: _Begun, answers: Sequence[A | Exception], hold: Hold
    ) -> None:
        """A run has ended; called in its thread."""
        self._ended(begun)
        self._seconds += MEMORY * (hold.seconds / len(batch) - self._seconds)
        batch[0].answer.get_loop().call_soon_threadsafe(self._deliver, batch, begun.at, answers)

    def _deliver(self, batch: Sequence[_Waiting[R, A]], began: float, answers: Sequence[A | Exception]) -> None:
        if self._waited is not None:
            self._waited(began - batch[0].since)
        _deliver_all(batch, answers)

    def _ended(self, begun: _Begun) -> None:
        with self._lock:
            self._begun.discard(begun)
        self._offer()

    def _next(self) -> list[_Waiting[R, A]]:
        """The rows of the kind whose turn it is, less those that nobody waits for any more."""
        batch: list[_Waiting[R, A]] = []
        with self._lock:
            if not self._worthwhile():
                self._offered = False
                for waiting in self._waiting.values():
                    loop = waiting[0].answer.get_loop()
                    loop.call_soon_threadsafe(self._look_later, loop)
                    break
                return batch
            while self._waiting and not batch:
                kind, waiting = self._waiting.popitem(last=False)
                while waiting and len(batch) < BATCH:
                    one = waiting.popleft()
                    self._count -= 1
                    if one.answer.done():
                        continue
                    if left_until(one.deadline) <= 0:
                        one.answer.get_loop().call_soon_threadsafe(_too_late, one.answer)
                        continue
                    batch.append(one)
                if waiting:
                    self._waiting[kind] = waiting
            self._offered = bool(self._waiting)
            more = self._offered
        if more:
            self._core.offer(self._work)
        return batch


@dataclass(slots=True, eq=False)
class _Work(Generic[R, A]):
    """The work of one run, which is done anew in another thread where the core is taken from the first.

    No function with a name for itself: such a circle keeps the arrays of each run until the garbage collector looks.
    """

    batcher: Batcher[R, A]
    run: _Begins[A]
    batch: Sequence[_Waiting[R, A]]
    begun: _Begun

    def __call__(self, hold: Hold) -> None:
        batch = self.batch
        hold.wants = lambda at: not batch[at].answer.done()
        # where the core is lost this raises, and the run goes on in another thread
        answers = _answers(self.run, hold, self, len(batch))
        self.run.end()
        self.batcher.done(batch, self.begun, answers, hold)


class _Begins(Generic[A]):
    """A run that is made in the thread that has the core, when it is first called there."""

    def __init__(self, begin: Callable[[], Run[A]]) -> None:
        self._begin = begin
        self.made: Run[A] | None = None

    def __call__(self, hold: Hold, again: Offer) -> Sequence[A | Exception]:
        if self.made is None:
            self.made = self._begin()
        return self.made(hold, again)

    def end(self) -> None:
        """It is over: what it holds is let go, so that nothing goes round in a circle."""
        self.made, self._begin = None, _over


def _over() -> Any:
    raise AssertionError("a run that has ended does not begin again")


def _answers(run: Run[A], hold: Hold, again: Offer, n: int) -> Sequence[A | Exception]:
    """What a run answers its n rows; a failure that it did not foresee is the answer to each of them.

    Raises:
        Lost: the core was taken from this thread.
    """
    problem: Exception
    try:
        found = run(hold, again)
        if len(found) == n:
            return found
        problem = RuntimeError(f"a run gave {len(found)} answers to {n} rows")
    except Lost:
        raise
    except Exception as raised:  # noqa: BLE001 - it is handed on, to be logged and hidden where all errors are
        problem = raised
    except BaseException as raised:  # noqa: BLE001 - a rule's sys.exit() must not end the server
        problem = RuntimeError(f"raised {type(raised).__name__}")
        problem.__cause__ = raised
    return [problem] * n


def _too_late(answer: asyncio.Future[A]) -> None:
    if not answer.done():
        answer.set_exception(DeadlineExceeded("the server is too busy to answer within the deadline"))


def _deliver_all(batch: Sequence[_Waiting[R, A]], answers: Sequence[A | Exception]) -> None:
    for one, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Exception):
            if not one.answer.done():
                one.answer.set_exception(answer)
        else:
            _deliver(one.answer, answer)


def _deliver(into: asyncio.Future[A], answer: A) -> None:
    if not into.done():
        into.set_result(answer)
