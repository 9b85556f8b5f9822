"""What the store knows of users, read for each request: always fresh, and cached all the same.

One statement by key says of all who wait whether what is cached of them still holds. Whoever comes
while it runs is read by the next one. Where the cache does not hold, the user's events are read anew.
Where the store cannot be read, what was read last is better than nothing, and the answer says so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import structlog

from cuvee.data.store import Store
from cuvee.data.store.rows import History, UserRow, UserState
from cuvee.errors import DegradedReason, UnavailableError
from cuvee.serving.deadline import left_until
from cuvee.serving.scheduling.breaker import Breaker
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.threads import AllTaken, Threads
from cuvee.serving.tracing.calls import Asked, current
from cuvee.serving.tracing.store import StoreTimes

if TYPE_CHECKING:
    from cuvee.data.dataset import Dataset
    from cuvee.serving.lists.histories import Events

__all__ = ["NOBODY", "SHARE", "Known", "StoreFailed", "StoredUsers"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

SHARE = 0.25
"""Of what is left of the deadline: what reading a user may take."""
PATIENCE = 5.0
"""Seconds for finding out who is forgotten."""
SLOW = 0.02
"""Seconds after which a statement holds up nobody any more: who waits is read beside it."""
NEAR, OFTEN = 0.025, 20
"""Seconds within which a near store answers; one that was not does so many times in a row before it is near again."""
MOST = 256
"""Users of one statement at most."""
MOST_USERS = 20_000
MOST_EVENTS = 500_000
"""What the cache holds at most, together."""


@dataclass(slots=True)
class Known:
    """What is stored of one user, as long as his stamp does not change."""

    stamp: int | None = None
    """None: nothing."""
    forgotten: bool = False
    """What was imported of him must not be used."""
    history: History = field(default_factory=History)
    profile: UserRow | None = None
    """None: none is stored; what was imported holds."""
    placed: tuple[Dataset, Events] | None = None
    """The whole history in the positions of a dataset, made when it is first asked for."""


NOBODY, FORGOTTEN = Known(), Known(forgotten=True)


def _nobody(_user_id: str) -> bool:
    return False


class StoreFailed(Exception):
    """The store could not be read: ``reason`` and ``detail`` are for the caller, ``known`` was read last."""

    def __init__(self, reason: DegradedReason, detail: str, known: Known) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.known = known


class _Failed(Exception):
    """Reading failed, for everyone who waits for it."""

    def __init__(self, reason: DegradedReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _too_late() -> _Failed:
    return _Failed(DegradedReason.TIMEOUT, "the store did not answer in time")


@dataclass(slots=True)
class _Waiting:
    """Someone who waits for a user, with the items' revision."""

    user_id: str
    until: float
    """On the loop's clock."""
    answer: asyncio.Future[tuple[Known, int]]
    asked: Asked = field(default_factory=current)


@dataclass(slots=True)
class _Line:
    """Those who wait for one product's users, and the statements that run for it."""

    product: str
    waiting: list[_Waiting] = field(default_factory=list)
    asking: set[asyncio.Task[None]] = field(default_factory=set)
    next: asyncio.Handle | None = None


class StoredUsers:
    """Reads users for requests, in threads of its own and behind a circuit breaker."""

    def __init__(self, store: Store, slots: int, figures: Figures) -> None:
        self._store = store
        self._timed = StoreTimes(figures, "read_users")
        self._threads = Threads("store-reading", slots)
        self._breaker = Breaker()
        self._kept: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._events = 0
        self._forgotten: dict[str, Callable[[str], bool]] = {}
        self._lines: dict[str, _Line] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        """Of the cache."""
        self.near = True
        """Whether the store answers so soon that :meth:`glance` is worth its wait."""
        self._soon = 0
        """Statements in a row that were quick, while it is not near."""

    def glance(self, product: str, user_ids: Sequence[str]) -> tuple[list[Known | None], int] | None:
        """What is cached of some users, as far as one statement says that it holds, and the revision of the items.

        In the caller's thread. None stands for a user of whom :meth:`read` must read more; None in place
        of all: the store is not asked in this way now, since it fails or is not near.
        """
        if not (self.near and self._breaker.closed):
            return None
        names = ["" if "\0" in user_id else user_id for user_id in user_ids]
        began = time.monotonic()
        try:
            with self._timed.started():
                states = self._store.states(product, list(dict.fromkeys(names)))
        except Exception as problem:  # noqa: BLE001 - whoever asked reads again by read(), which counts and tells it
            log.info("the store is read beside the lists", problem=type(problem).__name__)
            self.near = False
            return None
        if time.monotonic() - began > NEAR:
            self.near = False
        found = [self._held(product, n, states[n].stamp, forgotten=states[n].forgotten) for n in names]
        return found, states[names[0]].revision

    def everybody(self, product: str, most: int) -> tuple[list[tuple[UserRow, int]], Callable[[str], bool]]:
        """The users of a product who did something last, with when, and who is forgotten; in the caller's thread.

        Raises:
            UnavailableError: the store cannot be read.
        """
        return self._store.recent_users(product, most), self._store.forgotten(product)

    def each(self, product: str, user_ids: Sequence[str]) -> Mapping[str, Known]:
        """What is stored of some users at this moment, by id; in the caller's thread, and nothing of it is cached.

        Raises:
            UnavailableError: the store cannot be read.
        """
        found: dict[str, Known] = {}
        changed: dict[str, UserState] = {}
        for user_id, state in self._store.states(product, user_ids).items():
            known = self._held(product, user_id, state.stamp, forgotten=state.forgotten)
            if known is None:
                changed[user_id] = state
            else:
                found[user_id] = known
        if changed:
            for user_id, (history, user) in self._store.histories(product, list(changed)).items():
                state = changed[user_id]
                profile = user if user is not None and user.updated is not None else None
                found[user_id] = Known(state.stamp, state.forgotten, history, profile)
        return found

    async def follow(self, *products: str) -> None:
        """Learn who is forgotten, for times when the store cannot be asked.

        Raises:
            UnavailableError: the store cannot be reached, or not in time.
        """
        for product in products:
            try:
                self._forgotten[product] = await self._threads.in_turn(PATIENCE, self._store.forgotten, product)
            except (TimeoutError, AllTaken):
                raise UnavailableError("the store does not answer in time") from None

    async def read(self, product: str, user_id: str, deadline: float) -> tuple[Known, int]:
        """What is stored of a user at this moment, and the revision of the items, by a deadline (monotonic).

        Without a user, the revision alone.

        Raises:
            StoreFailed: the store cannot be read, or not in time.
        """
        if "\0" in user_id:
            user_id = ""
        loop = asyncio.get_running_loop()
        seconds = SHARE * left_until(deadline)
        one = _Waiting(user_id, loop.time() + seconds, loop.create_future())
        line = self._lines.get(product)
        if line is None:
            line = self._lines[product] = _Line(product)
        line.waiting.append(one)
        if line.next is None:
            # after all else that is ready: requests that came together are read together
            line.next = loop.call_soon(self._ask, line)
        timer = loop.call_later(seconds, _late, one.answer)
        try:
            return await one.answer
        except _Failed as failed:
            raise StoreFailed(failed.reason, failed.detail, self._last(product, user_id)) from None
        finally:
            timer.cancel()

    def _last(self, product: str, user_id: str) -> Known:
        """What was read of a user last."""
        kept = self._kept.get((product, user_id))
        if kept is None:
            return FORGOTTEN if self._forgotten.get(product, _nobody)(user_id) else NOBODY
        return kept

    def _ask(self, line: _Line) -> None:
        """Begin a statement for those who wait; the next one begins when it ends, or when it takes long."""
        loop = asyncio.get_running_loop()
        if line.waiting:
            batch, line.waiting = line.waiting[:MOST], line.waiting[MOST:]
            task = loop.create_task(self._states(line.product, batch))
            line.asking.add(task)
            task.add_done_callback(lambda task: self._asked(line, task))
        line.next = loop.call_later(SLOW, self._ask, line) if line.asking else None

    def _asked(self, line: _Line, task: asyncio.Task[None]) -> None:
        line.asking.discard(task)
        if line.next is not None:
            line.next.cancel()
        self._ask(line)

    async def _states(self, product: str, batch: Sequence[_Waiting]) -> None:
        """One statement; whom the cache has as he is, has his answer then."""
        batch = [one for one in batch if not one.answer.done()]
        if not batch:
            return
        changed: list[tuple[_Waiting, UserState]] = []

        def work() -> Callable[[], None]:
            states = self._store.states(product, list({one.user_id for one in batch}))

            def deliver() -> None:
                for one in batch:
                    state = states[one.user_id]
                    kept = self._held(product, one.user_id, state.stamp, forgotten=state.forgotten)
                    if kept is None:
                        changed.append((one, state))
                    elif not one.answer.done():
                        one.answer.set_result((kept, state.revision))

            return deliver

        await self._tried(batch, work)
        if changed:
            task = asyncio.get_running_loop().create_task(self._histories(product, changed))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _histories(self, product: str, changed: Sequence[tuple[_Waiting, UserState]]) -> None:
        """The events and profiles of those who have changed, beside the next statement."""
        states = {one.user_id: state for one, state in changed}

        def work() -> Callable[[], None]:
            # the stamp was read first: what is read after it may be newer, and is then read again next time
            found = self._store.histories(product, list(states))

            def deliver() -> None:
                made = {}
                for user_id, (history, user) in found.items():
                    state = states[user_id]
                    profile = user if user is not None and user.updated is not None else None
                    made[user_id] = Known(state.stamp, state.forgotten, history, profile)
                    self._keep((product, user_id), made[user_id])
                for one, state in changed:
                    if not one.answer.done():
                        one.answer.set_result((made[one.user_id], state.revision))

            return deliver

        await self._tried([one for one, _ in changed], work)

    async def _tried(self, batch: Sequence[_Waiting], work: Callable[[], Callable[[], None]]) -> None:
        """Work in a thread, then deliver on the loop; what goes wrong is told to everyone who waits."""
        leave = self._breaker.admit()
        if leave is None:
            _fail(batch, _Failed(DegradedReason.CIRCUIT_OPEN, "the store failed of late"))
            return
        longest = max(one.until for one in batch) - asyncio.get_running_loop().time()
        began = time.monotonic()
        try:
            with self._timed.started([one.asked for one in batch]):
                deliver = await self._threads.in_turn(longest, work)
        except TimeoutError:
            self._breaker.failed(leave)
            _fail(batch, _too_late())
        except AllTaken:
            self._breaker.undecided(leave)
            _fail(batch, _Failed(DegradedReason.OVERLOADED, "the store is busy with earlier calls"))
        except UnavailableError:
            self._breaker.failed(leave)
            _fail(batch, _Failed(DegradedReason.UNAVAILABLE, "the store cannot be reached"))
        except Exception:
            log.exception("store failed")
            self._breaker.failed(leave)
            _fail(batch, _Failed(DegradedReason.ERROR, "the store failed in a way that was not foreseen"))
        except BaseException:
            self._breaker.undecided(leave)
            raise
        else:
            self._breaker.succeeded(leave)
            self._count(time.monotonic() - began)
            deliver()

    def _count(self, seconds: float) -> None:
        """Whether the store is near again."""
        self._soon = self._soon + 1 if seconds < NEAR else 0
        if not self.near and self._soon >= OFTEN:
            self.near = True

    def _held(self, product: str, user_id: str, stamp: int | None, *, forgotten: bool) -> Known | None:
        """What is cached of a user, if it holds; whoever has nothing stored needs no cache."""
        key = product, user_id
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.stamp == stamp:
                self._kept.move_to_end(key)
                return kept
        if stamp is not None:
            return None
        if kept is not None:
            self.drop(product, user_id)
        return FORGOTTEN if forgotten else NOBODY

    def _keep(self, key: tuple[str, str], known: Known) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self._events -= len(old.history) if old else 0
            self._kept[key] = known
            self._events += len(known.history)
            while len(self._kept) > MOST_USERS or self._events > MOST_EVENTS:
                _, dropped = self._kept.popitem(last=False)
                self._events -= len(dropped.history)

    def held(self, product: str, user_id: str) -> int:
        """How many entries are cached of a user."""
        return int((product, user_id) in self._kept)

    def drop(self, product: str, user_id: str) -> int:
        """Forget what is cached of a user; how many entries that were."""
        with self._lock:
            known = self._kept.pop((product, user_id), None)
            if known is None:
                return 0
            self._events -= len(known.history)
            return 1

    def close(self) -> None:
        """Let idle threads go."""
        self._threads.close()


def _late(answer: asyncio.Future[T]) -> None:
    if not answer.done():
        answer.set_exception(_too_late())


def _fail(batch: Iterable[_Waiting], failed: _Failed) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(failed)
