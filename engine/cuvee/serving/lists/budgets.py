"""How the server asks a source: within a share of the deadline, in the source's own slots.

A call may take at most half of what is left of the deadline (and no longer than the source's own
timeout). So, however many sources sleep, retrieval leaves time to score, scoring leaves time to
fall back, and the answer is in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.ask import Report, Status, is_async
from cuvee.ranking.plan import Source
from cuvee.serving.deadline import left_until
from cuvee.serving.lists.breaker import Breaker, Pass
from cuvee.serving.threads import AllTaken, Threads

__all__ = ["Budget", "BudgetedAsk"]

log = structlog.get_logger(__name__)

SHARE = 0.5
"""Of what is left of the deadline: what one call may take."""
RESERVE = (0.02, 0.1)
"""Seconds, and share of a run's time, that are kept for making the answer; the lesser counts."""
LEAST = 0.001
"""Seconds; with less than this there is no sense in asking."""
FAULTS = frozenset(
    {DegradedReason.TIMEOUT, DegradedReason.ERROR, DegradedReason.INVALID_OUTPUT, DegradedReason.UNAVAILABLE}
)
"""What counts against a source. That it is overloaded or has no opinion does not."""


@dataclass(slots=True)
class _Lane:
    """What belongs to one source: its slots and its circuit."""

    threads: Threads
    breaker: Breaker


class Budget:
    """One product's sources: their slots and circuits, kept over requests and snapshots."""

    def __init__(self, product: str, slots: int, patience: float, breaker: Callable[[], Breaker] = Breaker) -> None:
        """``slots`` for each source; a timeout after ``patience`` seconds or more is its own fault.

        A caller in a greater hurry than that must not open a circuit for everyone.
        """
        self.product = product
        self.slots = slots
        self.patience = patience
        self._breaker = breaker
        self._lanes: dict[str, _Lane] = {}

    def lane(self, source: str) -> _Lane:
        """The source's own, made when first asked for."""
        if source not in self._lanes:
            self._lanes[source] = _Lane(Threads(f"{self.product}-{source}", self.slots), self._breaker())
        return self._lanes[source]

    def ask(self, deadline: float) -> BudgetedAsk:
        """The way to ask for one run of the pipeline, which has until ``deadline`` (monotonic)."""
        return BudgetedAsk(self, deadline)

    def close(self) -> None:
        """Let idle threads go."""
        for lane in self._lanes.values():
            lane.threads.close()


class BudgetedAsk:
    """An :class:`~cuvee.ranking.ask.Ask` for one run; :meth:`settle` it when the run is over."""

    def __init__(self, budget: Budget, deadline: float) -> None:
        self._budget = budget
        left = max(left_until(deadline), 0.0)
        self._deadline = deadline - min(RESERVE[0], RESERVE[1] * left)
        self._passes: dict[str, Pass] = {}
        self._hurried: set[str] = set()

    async def __call__(self, source: Source, method: Callable[..., Any], *args: Any) -> Any:
        """Call within the budget.

        Raises:
            SourceFailure: CIRCUIT_OPEN, OVERLOADED or TIMEOUT; and whatever the source raises.
        """
        lane = self._budget.lane(source.name)
        if source.name not in self._passes:
            given = lane.breaker.admit()
            if given is None:
                raise SourceFailure(DegradedReason.CIRCUIT_OPEN, "failed too often lately; left alone for a while")
            self._passes[source.name] = given
        granted = SHARE * left_until(self._deadline)
        if source.timeout is not None:
            granted = min(granted, source.timeout)
        if granted < LEAST:
            self._hurried.add(source.name)
            raise SourceFailure(DegradedReason.TIMEOUT, "no time was left to ask it")
        try:
            return await self._within(granted, lane, method, args)
        except AllTaken:
            raise SourceFailure(
                DegradedReason.OVERLOADED, f"all of its {lane.threads.size} slots are taken by earlier calls"
            ) from None
        except _Late:
            if granted < min(source.timeout or self._budget.patience, self._budget.patience):
                self._hurried.add(source.name)
            raise SourceFailure(DegradedReason.TIMEOUT, f"no answer within {granted * 1e3:.0f} ms") from None

    async def _within(self, seconds: float, lane: _Lane, method: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The call's value, or :class:`_Late`. A thread that is late goes on; a task is cancelled.

        Neither is waited for: a source that does not stop when told to costs nobody's time but its own.
        """
        running: asyncio.Future[Any]
        if is_async(method):
            lane.threads.take()
            running = asyncio.ensure_future(method(*args))
            running.add_done_callback(lambda _: lane.threads.release())
        else:
            running = lane.threads.submit(method, *args)
        try:
            await asyncio.wait([running], timeout=seconds)
        finally:
            late = not running.done()
            if late:
                running.cancel()
                running.add_done_callback(_forget)
        if late:
            raise _Late
        return running.result()

    def settle(self, reports: Sequence[Report]) -> None:
        """Tell each source's circuit how the run went; without reports nothing was learnt.

        Only here, as only the pipeline knows whether what came back was any good.
        """
        told: dict[str, Report] = {}
        for one in reports:
            if one.source not in told or one.status is Status.DEGRADED:
                told[one.source] = one
        for name, given in self._passes.items():
            breaker = self._budget.lane(name).breaker
            was_closed = breaker.closed
            report = told.get(name)
            if report is None or (report.reason is DegradedReason.TIMEOUT and name in self._hurried):
                breaker.undecided(given)
            elif report.status is Status.LIVE:
                breaker.succeeded(given)
            elif report.reason in FAULTS:
                breaker.failed(given)
            else:
                breaker.undecided(given)
            if breaker.closed != was_closed:
                say = log.info if breaker.closed else log.warning
                say("circuit closed" if breaker.closed else "circuit opened", product=self._budget.product, source=name)
        self._passes.clear()


class _Late(Exception):
    """No answer within what was granted; told apart from a TimeoutError that the source raises."""


def _forget(task: asyncio.Future[Any]) -> None:
    """Fetch what a given-up task ends with, so that nothing warns that nobody did."""
    if not task.cancelled():
        task.exception()
