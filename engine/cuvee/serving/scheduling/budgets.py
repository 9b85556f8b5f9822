"""How the server asks sources: those that wait first, those that compute one after another, each within a share.

A call may take at most half of what is left of the deadline, and no longer than the source's own
timeout. So, however many sources sleep, retrieval leaves time to score, scoring leaves time to
fall back, and the answer is in time.

A source that computes costs nothing but its own time while it comes back soon. One that does not
(:data:`PATIENCE`) loses its place: its call goes on in the thread that it holds, the run goes on in another,
and from then on the source is asked in threads of its own, like one that waits.

One that waits gets several times what is usual for it (:mod:`cuvee.serving.scheduling.pace`). Where a circuit opened
because it was late, it is probed in the background, so that no list waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from cuvee import tracing
from cuvee.errors import DegradedReason, SourceFailure
from cuvee.queries import Queries
from cuvee.ranking.ask import Call, Reply, Report, Status, is_async, not_loaded, reply_of
from cuvee.serving.deadline import left_until
from cuvee.serving.scheduling.breaker import Breaker, Pass
from cuvee.serving.scheduling.callee import PATIENCE, Callee, Waiting
from cuvee.serving.scheduling.core import Core, Hold, Offer
from cuvee.serving.threads import AllTaken, Threads
from cuvee.tracing import Trace, Value

__all__ = ["Budget", "BudgetedAsk"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

SHARE = 0.5
"""Of what is left of the deadline: what one call may take."""
RESERVE = (0.02, 0.1)
"""Seconds, and share of a run's time, that are kept for making the answer; the lesser counts."""
LEAST = 0.001
"""Seconds; with less than this there is no sense in asking."""
PROBE = 1.0
"""Seconds that a probe in the background may take."""
NOT_TRACED: AbstractContextManager[Trace | None] = nullcontext()
QUICK = 0.05, 20
"""A source that answers within so many seconds so many times in a row has its place again."""
FAULTS = frozenset(
    {DegradedReason.TIMEOUT, DegradedReason.ERROR, DegradedReason.INVALID_OUTPUT, DegradedReason.UNAVAILABLE}
)
"""What counts against a source. That it is overloaded or has no opinion does not."""


class Budget:
    """One product's sources: their slots and circuits, kept over requests and snapshots."""

    def __init__(
        self, product: str, core: Core, slots: int, patience: float, breaker: Callable[[], Breaker] = Breaker
    ) -> None:
        """``slots`` for each source; a timeout after ``patience`` seconds or more is its own fault.

        A caller in a greater hurry than that must not open a circuit for everyone.
        """
        self.product = product
        self.core = core
        self.slots = slots
        self.patience = patience
        self._breaker = breaker
        self._callees: dict[str, Callee] = {}

    def callee(self, source: str) -> Callee:
        """The source's own, made when first asked for."""
        if source not in self._callees:
            marks, key = self.core.marks, f"{self.product} {source}"
            threads = Threads(f"{self.product}-{source}", self.slots)
            self._callees[source] = Callee(threads, self._breaker(), marks, key, marks.slot(key))
        return self._callees[source]

    def ask(self, deadline: float, loop: asyncio.AbstractEventLoop) -> BudgetedAsk:
        """The way to ask for one run of the pipeline, which has until ``deadline`` (monotonic)."""
        return BudgetedAsk(self, deadline, loop)

    def open(self) -> dict[str, bool]:
        """By source, whether its circuit is open."""
        return {name: not callee.breaker.closed for name, callee in list(self._callees.items())}

    def close(self) -> None:
        """Let idle threads go."""
        for callee in self._callees.values():
            callee.threads.close()


@dataclass(slots=True)
class _Turn:
    """One list of calls: what has been answered, what goes on, what a thread is at."""

    replies: dict[int, Reply[Any]] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)


class BudgetedAsk:
    """An :class:`~cuvee.ranking.ask.Ask` for one run; :meth:`settle` it when the run is over.

    What was answered is kept: a run that begins again, since a source kept its first thread, asks nobody twice.
    """

    def __init__(self, budget: Budget, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        self._budget = budget
        self._core = budget.core
        self._loop = loop
        left = max(left_until(deadline), 0.0)
        self._deadline = deadline - min(RESERVE[0], RESERVE[1] * left)
        self._passes: dict[str, Pass] = {}
        self._hurried: set[str] = set()
        self._turns: list[_Turn] = []
        self._next = 0
        self._hold = Hold()
        self._again: Offer = _nothing
        self._abandoned = False

    def begin(self, hold: Hold, again: Offer) -> None:
        """The run begins in the thread of this hold; ``again`` begins it once more, in another."""
        self._hold, self._again, self._next = hold, again, 0

    def abandon(self) -> None:
        """Nobody waits for the answer any more: calls are cancelled, and no more are made. From any thread."""
        self._abandoned = True
        for turn in list(self._turns):
            for one in list(turn.waiting.values()):
                one.future.cancel()

    def __call__(self, calls: Sequence[Call[T]]) -> list[Reply[T]]:
        """The replies, in the order of the calls; raises for no source."""
        if self._next == len(self._turns):
            self._turns.append(_Turn())
        turn = self._turns[self._next]
        self._next += 1
        hold = self._hold
        computing = []
        for at, call in enumerate(calls):
            if at in turn.replies or at in turn.waiting:
                continue
            refused = self._refused(call)
            if refused is not None:
                turn.replies[at] = refused
            elif call.method is not None and (is_async(call.method) or self._budget.callee(call.source.name).apart):
                self._start(turn, at, call)
            else:
                computing.append(at)
        for at in computing:
            self._compute(hold, turn, at, calls[at])
        for at, one in sorted(turn.waiting.items()):
            if at not in turn.replies:
                turn.replies[at] = self._awaited(hold, calls[at], one)
        return [turn.replies[at] for at in range(len(calls))]

    def _refused(self, call: Call[T]) -> Reply[T] | None:
        """Why a source is not asked; None where it is."""
        name = call.source.name
        if self._abandoned:
            return self._left(call)
        callee = self._budget.callee(name)
        if callee.marks.suspected(callee.key):
            return _failed(call, DegradedReason.CIRCUIT_OPEN, "a process hung or crashed in it; left alone for a while")
        if name not in self._passes:
            given = callee.breaker.admit()
            if given is None:
                return _failed(call, DegradedReason.CIRCUIT_OPEN, "failed too often lately; left alone for a while")
            if given.probe and callee.pace.late and call.method is not None and is_async(call.method):
                self._probe(callee, call, given)
                return _failed(call, DegradedReason.CIRCUIT_OPEN, "was late too often lately; being tried again")
            self._passes[name] = given
        if self._granted(call) < LEAST:
            self._hurried.add(name)
            return _failed(call, DegradedReason.TIMEOUT, "no time was left to ask it")
        return None

    def _left(self, call: Call[T]) -> Reply[T]:
        """The reply to a call that was given up as nobody waits for it; nothing is held against the source."""
        self._hurried.add(call.source.name)
        return _failed(call, DegradedReason.TIMEOUT, "the caller has left")

    def _probe(self, callee: Callee, call: Call[T], given: Pass) -> None:
        """Make a call of which this run's answer knows nothing, to find out whether the source is quick again."""
        method, began = call.method, time.perf_counter()
        if method is None:
            return

        async def asked() -> Any:
            async with asyncio.timeout(PROBE):
                return await callee.awaited(method, call.args)

        def ended(future: Future[Any]) -> None:
            seconds = time.perf_counter() - began
            self._core.offer(lambda _: self._tried(callee, call, given, future, seconds))

        try:
            callee.threads.take()
        except AllTaken:
            callee.breaker.failed(given)
            return
        asyncio.run_coroutine_threadsafe(asked(), self._loop).add_done_callback(ended)

    def _tried(self, callee: Callee, call: Call[T], given: Pass, future: Future[Any], seconds: float) -> None:
        live = reply_of(call, future.result, time.perf_counter()).report.status is Status.LIVE
        if live and callee.pace.probed(seconds):
            callee.breaker.succeeded(given)
            log.info("circuit closed", product=self._budget.product, source=call.source.name)
        else:
            callee.breaker.failed(given)

    def _granted(self, call: Call[T]) -> float:
        """Seconds that a call may take."""
        limits = (SHARE * left_until(self._deadline), call.source.timeout, call.within)
        return min(limit for limit in limits if limit is not None)

    def _start(self, turn: _Turn, at: int, call: Call[T]) -> None:
        """Begin a call elsewhere: on the event loop, or in a thread of the source's own."""
        method, callee = call.method, self._budget.callee(call.source.name)
        if method is None:
            return
        granted, began, now = self._granted(call), time.perf_counter(), time.monotonic()
        future: Future[Any]
        try:
            if is_async(method):
                callee.threads.take()
                # on the loop, in a copy of this thread's context: the span that goes on here goes on there
                future = asyncio.run_coroutine_threadsafe(_traced(call, callee.awaited(method, call.args)), self._loop)
            else:
                if callee.computes():
                    turn.replies[at] = _failed(call, DegradedReason.OVERLOADED, "an earlier call still computes")
                    return
                future = callee.threads.start(_in_span, call, tracing.current(), callee)
        except AllTaken:
            detail = f"all of its {callee.threads.size} slots are taken by earlier calls"
            turn.replies[at] = _failed(call, DegradedReason.OVERLOADED, detail)
            return
        until = now + (min(granted, callee.pace.limit(_rows(call))) if is_async(method) else granted)
        one = turn.waiting[at] = Waiting(future, began, granted, until)
        future.add_done_callback(one.end)
        if self._abandoned:
            future.cancel()

    def _compute(self, hold: Hold, turn: _Turn, at: int, call: Call[T]) -> None:
        """Make a call in this thread, which holds the core."""
        method = call.method
        if method is None:
            turn.replies[at] = reply_of(call, not_loaded, time.perf_counter())
            return
        granted, now = self._granted(call), time.monotonic()
        if granted < LEAST:
            self._hurried.add(call.source.name)
            turn.replies[at] = _failed(call, DegradedReason.TIMEOUT, "no time was left to ask it")
            return
        began = time.perf_counter()
        future: Future[Any] | None = None
        callee = self._budget.callee(call.source.name)
        taken = False

        def overdue() -> Offer:
            nonlocal taken, future
            future = Future()
            callee.apart, callee.quick = True, 0
            try:
                callee.threads.take()
                taken = True
            except AllTaken:
                log.warning("a source holds more threads than it has slots", source=call.source.name)
            log.warning("source is asked apart", product=self._budget.product, source=call.source.name)
            turn.waiting[at] = Waiting(future, began, granted, now + granted)
            return self._again

        outcome: Callable[[], Any]
        try:
            with _span(call) as span:
                with self._core.watched(hold, min(granted, PATIENCE), overdue):
                    outcome = callee.outcome(method, call.args, hold.processor)
                reply = turn.replies[at] = reply_of(call, outcome, began)
                if span is not None and reply.report.reason is not None:
                    span.failed(reply.report.reason)
        finally:
            if hold.lost and future is not None:
                if taken:
                    callee.threads.release()
                _resolve(future, outcome)

    def _awaited(self, hold: Hold, call: Call[T], one: Waiting) -> Reply[T]:
        """The reply of a call that goes on elsewhere, or that it is late. A late one is not waited for."""
        name = call.source.name
        callee = self._budget.callee(name)
        if not one.future.done():
            with self._core.released(hold):
                try:
                    one.future.exception(timeout=max(one.until - time.monotonic(), 0.0))
                except (TimeoutError, asyncio.CancelledError):
                    pass
                except BaseException as problem:  # noqa: BLE001 - a cancelled future; what it ended with is read below
                    log.debug("a call ended early", source=name, problem=repr(problem))
        if self._abandoned:
            return self._left(call)
        waits = call.method is not None and is_async(call.method)
        if not one.future.done():
            one.future.cancel()
            callee.quick = 0
            waited = time.perf_counter() - one.began
            if waits and waited < one.granted:
                callee.pace.late = True
                late = f"no answer within {waited * 1e3:.0f} ms, several times what is usual for it"
                return _failed(call, DegradedReason.TIMEOUT, late, one.began)
            if one.granted < min(call.source.timeout or self._budget.patience, self._budget.patience):
                self._hurried.add(name)
            late = f"no answer within {one.granted * 1e3:.0f} ms"
            return _failed(call, DegradedReason.TIMEOUT, late, one.began)
        if callee.apart:
            self._count(callee, time.perf_counter() - one.began)
        reply = reply_of(call, one.future.result, one.began)
        if waits and reply.value is not None:
            callee.pace.took((one.ended or time.perf_counter()) - one.began)
        return reply

    def _count(self, callee: Callee, seconds: float) -> None:
        callee.quick = callee.quick + 1 if seconds < QUICK[0] else 0
        if callee.quick >= QUICK[1]:
            callee.apart = False

    def settle(self, reports: Sequence[Report]) -> None:
        """Tell each source's circuit how the run went; without reports nothing was learnt.

        Only here, as only the pipeline knows whether what came back was any good.
        """
        told: dict[str, Report] = {}
        for one in reports:
            if one.source not in told or one.status is Status.DEGRADED:
                told[one.source] = one
        for name, given in self._passes.items():
            breaker = self._budget.callee(name).breaker
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


def _rows(call: Call[Any]) -> int:
    """The number of queries that a call is about."""
    return next((len(arg) for arg in call.args if isinstance(arg, Queries)), 1)


def _span(call: Call[Any]) -> AbstractContextManager[Trace | None]:
    """The span of one call of a source."""
    if tracing.current() is None:
        return NOT_TRACED
    what = getattr(call.method, "__name__", "")
    attributes: dict[str, Value] = {"cuvee.source": call.source.name, "cuvee.rows": _rows(call)}
    return tracing.span(f"{call.source.name} {what}", **attributes)


async def _traced(call: Call[Any], work: Coroutine[Any, Any, Any]) -> Any:
    with _span(call):
        return await work


def _in_span(call: Call[Any], trace: Trace | None, callee: Callee) -> Any:
    """Make the call in this thread, which is another than the run's."""
    method = call.method
    if method is None:
        return not_loaded()
    if trace is None:
        return callee.called(method, call.args)
    with tracing.inside(trace), _span(call):
        return callee.called(method, call.args)


def _nothing(_hold: Hold) -> None:
    """No run has begun."""


def _resolve(future: Future[Any], outcome: Callable[[], Any]) -> None:
    """Hand the outcome of a call whose thread was lost to the run that went on without it."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(outcome())
    except Exception as problem:  # noqa: BLE001 - it is handed on
        future.set_exception(problem)


def _failed(call: Call[T], reason: DegradedReason, detail: str, began: float | None = None) -> Reply[T]:
    def fail() -> Any:
        raise SourceFailure(reason, detail)

    return reply_of(call, fail, time.perf_counter() if began is None else began)
