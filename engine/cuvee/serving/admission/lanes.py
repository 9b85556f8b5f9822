"""Lanes: calls of one kind are worked on a bounded number at a time, and a bounded number waits.

Whoever waits is let in by fair share: clients take turns, so that one with hundreds of calls does not keep out
one with a single call. Who could not be answered in time is refused when that is known, not when it is too late.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from cuvee.config.limits import LaneLimits
from cuvee.errors import Overloaded

__all__ = ["LANES", "Lane"]

HOPEFUL = 0.8
"""Of what is left of a deadline: a call that would wait longer than this is refused at once."""
MEMORY = 0.05
"""Weight of the newest measurement in a mean."""
STRETCH, RECENT = 0.1, 0.3
"""Seconds over which it is measured how fast calls leave; and the weight of the newest stretch."""
CROWDED = 0.5
"""Of the pressure with which calls are refused: with less, whoever is taken in still has a place."""
SLOWEST, QUICKEST = 0.005, 0.001
"""Seconds between two calls that are taken in while it is crowded: some always are, since a client with few calls is
served before those who wait with many. Shorter pauses than the second are none."""
EASED = 1.01
"""By what a call that is answered in time lengthens the pause; one that comes too late halves it."""
LONGEST_PAUSE = 10.0
"""Seconds: the longest time to wait that a refused caller is told."""

_LISTS, _EVENTS = "/cuvee.v1.RecommendationService/", "/cuvee.v1.EventService/"
_CATALOG, _ADMIN = "/cuvee.v1.CatalogService/", "/cuvee.v1.AdminService/"

LANES: Mapping[str, str] = {
    _LISTS + "Recommend": "reads",
    _LISTS + "SimilarItems": "reads",
    _LISTS + "Rank": "reads",
    _LISTS + "RecommendUsers": "bulk",
    _LISTS + "BatchRecommend": "bulk",
    _EVENTS + "WriteEvents": "writes",
    _EVENTS + "StreamEvents": "streams",
    _EVENTS + "MergeUsers": "writes",
    _CATALOG + "UpsertItem": "writes",
    _CATALOG + "BatchUpsertItems": "writes",
    _CATALOG + "DeleteItem": "writes",
    _CATALOG + "UpsertUser": "writes",
    _CATALOG + "BatchUpsertUsers": "writes",
    _CATALOG + "DeleteUser": "writes",
    _CATALOG + "GetItem": "admin",
    _CATALOG + "ListItems": "admin",
    _CATALOG + "GetUser": "admin",
    _CATALOG + "ListUsers": "admin",
    _CATALOG + "ExportUser": "bulk",
    _ADMIN + "GetProduct": "admin",
    _ADMIN + "ListProducts": "admin",
    _ADMIN + "ListRecommenders": "admin",
    _ADMIN + "ListSnapshots": "admin",
    _ADMIN + "ActivateSnapshot": "admin",
    _ADMIN + "RollbackSnapshot": "admin",
    _ADMIN + "ReleaseSnapshot": "admin",
    _ADMIN + "PruneSnapshots": "admin",
    _ADMIN + "GetConfig": "admin",
    _ADMIN + "ApplyConfig": "admin",
    _ADMIN + "RollbackConfig": "admin",
    _ADMIN + "StartFit": "admin",
    _ADMIN + "StartTune": "admin",
    _ADMIN + "GetOperation": "admin",
    _ADMIN + "ListOperations": "admin",
    _ADMIN + "CancelOperation": "admin",
    _ADMIN + "ValidateConfig": "admin",
    _ADMIN + "GetConfigRevision": "admin",
}
"""Every rpc of proto/cuvee/v1: a test walks the descriptors. Others, such as health, are in no lane."""


@dataclass(slots=True, eq=False)
class _Waiter:
    client: str
    deadline: float
    turn: asyncio.Future[None]


class Lane:
    """For one event loop. Every call that was let in leaves again."""

    def __init__(self, name: str, limits: LaneLimits) -> None:
        self.name = name
        self._most = limits.in_flight
        self._most_waiting = limits.waiting
        self._patience = limits.patience
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        """By client, the one whose turn is next first; none is empty."""
        self.in_flight = 0
        self.waiting = 0
        self.refused = 0
        """How many calls were refused so far."""
        self._took = 0.0
        """Mean seconds that a call is worked on."""
        self._pause = 0.0
        """Mean seconds between two calls that leave, while others wait; 0 when none has waited yet."""
        self._counting_since = self._counted = 0.0
        self._pace = SLOWEST

    @property
    def pressure(self) -> float:
        """How near it is to refusing calls: 0 while none waits, 1 where a client's next call would be refused."""
        if not self.waiting:
            return 0.0
        wait = self.waiting * (self._pause or self._took / self._most)
        return min(max(self.waiting / max(self._most_waiting, 1), wait / self._patience), 1.0)

    @property
    def hold(self) -> float:
        """For how many seconds the next call had better wait where it is, since so many wait here; 0 where it may come.

        What waits there gets old. Where calls come too late to be answered, the others are taken in sooner.
        """
        return self._pace if self._pace >= QUICKEST and self.pressure > CROWDED else 0.0

    def in_time(self) -> None:
        """A call was answered in time."""
        self._pace = min(max(self._pace, QUICKEST / 2) * EASED, SLOWEST)

    def late(self) -> None:
        """A call came too late to be answered."""
        self._pace = max(self._pace / 2, QUICKEST / 4)

    def enter(self) -> bool:
        """Let a call in at once, if there is room and nobody waits. Else it has to :meth:`wait`."""
        if self.in_flight >= self._most or self.waiting:
            return False
        self.in_flight += 1
        return True

    async def wait(self, client: str, deadline: float) -> None:
        """Wait to be let in, by a deadline (monotonic).

        Raises:
            Overloaded: too many wait, or the turn would come too late for an answer within the deadline.
        """
        self._check(client, deadline)
        waiter = _Waiter(client, deadline, asyncio.get_running_loop().create_future())
        queue = self._queues.get(client)
        if queue is None:
            queue = self._queues[client] = deque()
        queue.append(waiter)
        self.waiting += 1
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.leave()  # it was let in at the very moment at which it was given up
            else:
                self._remove(waiter)
            raise

    def leave(self, took: float | None = None) -> None:
        """A call that was let in has ended, after so many seconds; whose turn it is takes its place."""
        now = time.monotonic()
        if took is not None:
            self._took += MEMORY * (took - self._took)
        self._count(now)
        self.in_flight -= 1
        while self.waiting and self.in_flight < self._most:
            self._let_in(now)

    def _count(self, now: float) -> None:
        """Measure how fast calls leave. They leave in bursts, a batch at a time, so stretches of time are measured."""
        if not self.waiting:
            self._counting_since = 0.0
        elif not self._counting_since:
            self._counting_since, self._counted = now, 0.0
        else:
            self._counted += 1
            took = now - self._counting_since
            if took >= STRETCH:
                pause = took / self._counted
                self._pause += RECENT * (pause - self._pause) if self._pause else pause
                self._counting_since, self._counted = now, 0.0

    def _let_in(self, now: float) -> None:
        """The next waiter in turn: let in, or refused where its deadline would be missed."""
        client, queue = self._queues.popitem(last=False)
        waiter = queue.popleft()
        if queue:
            self._queues[client] = queue
        self.waiting -= 1
        if waiter.turn.done():
            return
        if waiter.deadline - now < self._took / 2:
            self.late()
            self._refuse(waiter, self._took)
            return
        self.in_flight += 1
        waiter.turn.set_result(None)

    def _check(self, client: str, deadline: float) -> None:
        """Refuse a call that would wait too long; where all places are taken, make room for a client with few calls."""
        queue = self._queues.get(client)
        mine = 1 + (len(queue) if queue is not None else 0)
        clients = len(self._queues) + (queue is None)
        ahead = min(self.waiting + 1, mine * clients)
        wait = ahead * (self._pause or self._took / self._most)
        # a client's only call is worth more patience than the next of many
        impatient = mine > 1 and wait > self._patience
        too_late = wait + self._took > HOPEFUL * (deadline - time.monotonic())
        if too_late:
            self.late()
        if impatient or too_late:
            raise self._overloaded(wait)
        if self.waiting < self._most_waiting:
            return
        if mine * clients > self._most_waiting:
            raise self._overloaded(wait)
        last = max(self._queues.values(), key=len)[-1]
        self._remove(last)
        self._refuse(last, wait)

    def _overloaded(self, seconds: float) -> Overloaded:
        self.refused += 1
        wait = min(max(seconds, 0.01), LONGEST_PAUSE)
        return Overloaded("more calls wait than can be answered in time; try again later", round(wait, 2))

    def _refuse(self, waiter: _Waiter, seconds: float) -> None:
        if not waiter.turn.done():
            waiter.turn.set_exception(self._overloaded(seconds))

    def _remove(self, waiter: _Waiter) -> None:
        """Take out of its queue one who waits no more."""
        queue = self._queues.get(waiter.client)
        if queue is None or waiter not in queue:
            return
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self._queues[waiter.client]
