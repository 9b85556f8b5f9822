"""A run: rows of one kind go through the pipeline once, within one deadline."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import structlog

from cuvee import tracing
from cuvee.config import Limits
from cuvee.errors import DeadlineExceeded, DegradedReason
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.pipeline import Answer, make_lists, score_listed
from cuvee.ranking.plan import Plan
from cuvee.recommender import Queries
from cuvee.serving.deadline import BULK_PATIENCE, left_until
from cuvee.serving.lists.answers import Made, answers_of
from cuvee.serving.lists.assembling import assemble
from cuvee.serving.lists.drafts import Beside, Draft, Row
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.people.judging import Opinion, Wanted, judged
from cuvee.serving.lists.reasons import explain
from cuvee.serving.lists.users import SHARE
from cuvee.serving.scheduling.batching import Batcher, Run
from cuvee.serving.scheduling.budgets import Budget, BudgetedAsk
from cuvee.serving.scheduling.callee import PATIENCE
from cuvee.serving.scheduling.core import Core, Hold, Lost, Offer
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.shown import Shown
from cuvee.serving.tracing.calls import Asked
from cuvee.serving.tracing.traces import shared
from cuvee.tracing import Trace, span

__all__ = ["Runs"]

A = TypeVar("A")
Judged: TypeAlias = tuple[Opinion | None, Sequence[Report]]

LINGER = 0.2
"""Seconds after its deadline for which a run keeps the core: longer, and it hangs in something that is no source."""

MOST_NAMED = 3
"""Requests of a run that a line of the log names."""

log = structlog.get_logger(__name__)


class Observers(Protocol):
    """Who observes answers."""

    @property
    def observes(self) -> bool:
        """Whether anybody does."""

    def observe(self, queries: Queries, answer: Answer) -> None:
        """Show them an answer."""


class Runs:
    """One product's runs.

    Single requests gather into batches; bulk calls bring their own, and wait for each other, so
    that they cannot keep the core from single ones.
    """

    def __init__(
        self,
        product: str,
        limits: Limits,
        hooks: Observers,
        edge: Edge,
        core: Core,
        figures: Figures,
        pressure: Callable[[], float],
    ) -> None:
        self.budget = Budget(product, core, limits.threads, patience=limits.deadline / 4)
        self._shown = Shown(figures, product)
        figures.watch("cuvee_circuit_open", lambda: {(product, name): up for name, up in self.budget.open().items()})
        figures.watch("cuvee_queue_rows", lambda: {(product,): self.waiting})
        self._hooks = hooks
        self._edge = edge
        self._core = core
        self._limit = limits.deadline
        self._pressure, self._narrowest = pressure, limits.narrowest
        self._product, self._figures = product, figures
        self._bulk = asyncio.Semaphore(max(1, limits.threads // 4))
        waited = figures.histogram("cuvee_queue_wait_seconds", product).add
        self._rows: Batcher[Row, Made] = Batcher(core, self._begin, _abandon, waited)
        self._whole: Batcher[Row, Made] = Batcher(core, self._begin_whole, _abandon)
        self._drafts: Batcher[Draft, Made] = Batcher(core, self._begin_drafts, _abandon, waited)

    @property
    def waiting(self) -> int:
        """How many requests wait for their run."""
        return self._rows.waiting + self._drafts.waiting

    @property
    def silent(self) -> bool:
        """Whether no source has answered of late, though some were asked."""
        return self._shown.silent

    async def ask(self, draft: Draft, deadline: float) -> Made:
        """One draft's list, made together with whatever else waits.

        A row is made of it in the run, where nothing has to be waited for: that saves two hops and a statement of
        the store for each request. Otherwise it is made first.
        """
        if self._edge.quick(draft):
            try:
                return await self._drafts.ask(draft, draft.kind, deadline)
            except Beside:
                pass
        row = await self._edge.row(draft, deadline)
        return await self._rows.ask(row, row.kind, deadline)

    async def ask_many(self, rows: Sequence[Row], deadline: float) -> Sequence[Made | Exception]:
        """The lists for rows of one kind, one run of their own when its turn has come."""
        async with self._bulk:
            if left_until(deadline) <= 0:
                raise DeadlineExceeded("no time was left for this part of the batch; ask for less at once")
            return await self._whole.ask_many(rows, min(deadline, time.monotonic() + BULK_PATIENCE * self._limit))

    async def ask_about(self, rows: Sequence[Row], wanted: Wanted, deadline: float) -> Sequence[Judged | Exception]:
        """What the blend says of one item to each of some users, one run of their own when its turn has come."""
        begin = partial(_AboutOne, wanted, self.budget, self._hooks, self._shown)
        async with self._bulk:
            if left_until(deadline) <= 0:
                raise DeadlineExceeded("no time was left for the rest of the users; narrow the filter, or allow more")
            batcher: Batcher[Row, Judged] = Batcher(self._core, begin, _abandon)
            return await batcher.ask_many(rows, min(deadline, time.monotonic() + BULK_PATIENCE * self._limit))

    def _begin(self, rows: Sequence[Row], deadline: float, loop: asyncio.AbstractEventLoop) -> _Lists:
        width = self._width()
        if width < 1 and rows[0].listed is None:
            self._figures.count("cuvee_narrowed_total", self._product, by=len(rows))
        return _Lists(self.budget, self._hooks, self._shown, rows, deadline, loop, width)

    def _begin_whole(self, rows: Sequence[Row], deadline: float, loop: asyncio.AbstractEventLoop) -> _Lists:
        return _Lists(self.budget, self._hooks, self._shown, rows, deadline, loop)

    def _width(self) -> float:
        """The share of their candidates that sources propose now; the least from half of what has calls refused."""
        return 1 - (1 - self._narrowest) * min(2 * self._pressure(), 1.0)

    def _begin_drafts(self, drafts: Sequence[Draft], deadline: float, loop: asyncio.AbstractEventLoop) -> _DraftsRun:
        return _DraftsRun(self._edge, self._core, self._begin, drafts, deadline, loop)

    def close(self) -> None:
        """Let idle threads go."""
        self.budget.close()


class _DraftsRun:
    """The drafts of one batch on their way: they become rows first, and then a run for each kind of these."""

    def __init__(
        self,
        edge: Edge,
        core: Core,
        begin: Callable[[Sequence[Row], float, asyncio.AbstractEventLoop], _Lists],
        drafts: Sequence[Draft],
        deadline: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._edge, self._core, self._begin, self._drafts = edge, core, begin, drafts
        self._deadline, self._loop = deadline, loop
        self._answers: list[Made | Exception] = []
        self._runs: list[tuple[list[int], _Lists]] = []
        self._begun = False

    def __call__(self, hold: Hold, again: Offer) -> Sequence[Made | Exception]:
        """The lists, or what went wrong; :class:`Beside` for those whose row must be made beside the runs."""
        if not self._begun:
            self._begun = True
            self._make_rows(hold, again)
        elif not self._answers:  # reading kept the first thread
            self._answers = [Beside() for _ in self._drafts]
        while self._runs:
            places, run = self._runs[0]
            for at, answer in zip(places, run(hold, again), strict=True):
                self._answers[at] = answer
            self._runs.pop(0)
        return self._answers

    def abandon(self) -> None:
        """Nobody waits for the lists any more."""
        for _, run in list(self._runs):
            run.abandon()

    def _make_rows(self, hold: Hold, again: Offer) -> None:
        def overdue() -> Offer:
            self._edge.give_up_on_store()
            return again

        hold.ends = self._deadline + LINGER
        patience = min(PATIENCE, SHARE * max(left_until(self._deadline), 0.0))
        with _span([draft.asked for draft in self._drafts], "question"), self._core.watched(hold, patience, overdue):
            rows = self._edge.rows(self._drafts)
        kinds: dict[tuple[object, ...], list[tuple[int, Row]]] = {}
        answers: list[Made | Exception] = []
        for at, row in enumerate(rows):
            if isinstance(row, Row):
                answers.append(Beside())  # until there is a list
                if hold.wants(at):
                    kinds.setdefault(row.kind, []).append((at, row))
            else:
                answers.append(row)
        self._runs = [
            ([at for at, _ in those], self._begin([row for _, row in those], self._deadline, self._loop))
            for those in kinds.values()
        ]
        self._answers = answers


class _Run(ABC, Generic[A]):
    """The rows of one batch on their way, in one thread or, where a source kept that, on in another."""

    def __init__(
        self,
        budget: Budget,
        hooks: Observers,
        shown: Shown,
        rows: Sequence[Row],
        deadline: float,
        loop: asyncio.AbstractEventLoop,
        width: float = 1.0,
    ) -> None:
        """``width``: the share of their candidates that sources propose."""
        self._budget, self._hooks, self._deadline, self._loop = budget, hooks, deadline, loop
        self._shown, self._width = shown, width
        self._parts = [self._part(rows)]
        self._made: list[A | Exception] = []

    def __call__(self, hold: Hold, again: Offer) -> Sequence[A | Exception]:
        """The lists, or what went wrong.

        Sources that fail are no reason for that. A rule may be; then each row is tried alone, so
        that one does not cost the others their answers.
        """
        while self._parts:
            part = self._parts[0]
            try:
                with _span([row.asked for row in part.rows], "run"):
                    found: Sequence[A | Exception] = self._lists(part, hold, again)
            except Exception as problem:  # noqa: BLE001 - it is handed on, to be told or hidden where all errors are
                if len(part.rows) > 1:
                    self._parts[:1] = [self._part([row]) for row in part.rows]
                    continue
                found = [problem]
            self._made.extend(found)
            self._parts.pop(0)
        return self._made

    def _part(self, rows: Sequence[Row]) -> _Part:
        return _Part(rows, self._width, self._budget.ask(self._deadline, self._loop))

    def abandon(self) -> None:
        """Nobody waits for the lists any more."""
        for part in list(self._parts):
            part.ask.abandon()

    def _lists(self, part: _Part, hold: Hold, again: Offer) -> list[A]:
        plan = part.rows[0].served.snapshot.plan
        part.ask.begin(hold, again)
        hold.ends = self._deadline + LINGER
        lost = False
        try:
            write = self._made_of(part, plan)
        except Lost:
            lost = True
            raise
        finally:
            if not lost:
                part.ask.settle(part.reports)
        unloaded = {s.name for s in (*plan.sources, *plan.fallback) if s.recommender is None}
        for report in part.reports:
            if report.status is Status.DEGRADED and report.source not in unloaded:
                _log(plan.product, report, part.rows)
        return write()

    @abstractmethod
    def _made_of(self, part: _Part, plan: Plan) -> Callable[[], list[A]]:
        """Ask the sources, and note their reports; what is returned writes the answers, without asking them again."""


class _Lists(_Run[Made]):
    """Rows on their way to lists."""

    def _made_of(self, part: _Part, plan: Plan) -> Callable[[], list[Made]]:
        question = part.question
        answer = (make_lists if question.listed is None else score_listed)(plan, question, part.ask)
        part.reports = answer.reports
        _note(answer.reports)
        with span("explain"):
            reasons = explain(plan, question.queries, answer, part.ask)
        return lambda: self._written(part, answer, reasons)

    def _written(self, part: _Part, answer: Answer, reasons: Sequence[Sequence[str]]) -> list[Made]:
        question = part.question
        if self._hooks.observes:
            self._loop.call_soon_threadsafe(self._hooks.observe, question.queries, answer)
        troubled = [row.history_failed or row.store_failed is not None for row in part.rows]
        shows, usual = question.listed is None, question.segment is None
        self._shown.note(part.rows[0].served.snapshot, answer, troubled, shows=shows, usual=usual)
        narrowed = question.width < 1 and question.listed is None
        with span("answer"):
            return answers_of(part.rows, answer, reasons, narrowed=narrowed)


class _AboutOne(_Run[Judged]):
    """Rows of users on their way to what the blend says of one item to each."""

    def __init__(self, wanted: Wanted, *given: Any) -> None:
        super().__init__(*given)
        self._wanted = wanted

    def _made_of(self, part: _Part, plan: Plan) -> Callable[[], list[Judged]]:
        part.reports, opinions = judged(plan, part.question, part.ask, self._wanted)
        _note(part.reports)
        return lambda: [(opinion, part.reports) for opinion in opinions]


def _span(calls: Sequence[Asked], name: str) -> AbstractContextManager[Trace | None]:
    """The span of a block that works for these calls."""
    return shared([asked.span for asked in calls], name, **{"cuvee.rows": len(calls)})


def _note(reports: Sequence[Report]) -> None:
    """Have the run's span name the sources that failed or were left alone."""
    trace = tracing.current()
    if trace is not None:
        failed = [f"{one.source} {one.reason}" for one in reports if one.status is Status.DEGRADED]
        trace.note("cuvee.degraded", failed)


def _abandon(run: Run[Any]) -> None:
    if isinstance(run, _Run | _DraftsRun):
        run.abandon()


class _Part:
    """Rows that go through the pipeline together."""

    def __init__(self, rows: Sequence[Row], width: float, ask: BudgetedAsk) -> None:
        self.rows = rows
        question = assemble(rows)
        self.question = question if width >= 1 else replace(question, width=width)
        self.ask = ask
        self.reports: Sequence[Report] = ()


def _log(product: str, report: Report, rows: Sequence[Row]) -> None:
    """Say once what went wrong; that a circuit is open was said when it opened."""
    if report.reason is DegradedReason.CIRCUIT_OPEN:
        return
    traces = [row.asked.trace_id for row in rows[:MOST_NAMED] if row.asked.trace_id]
    unforeseen = report.failure if report.reason is DegradedReason.ERROR else None
    log.warning(
        "source degraded",
        product=product,
        source=report.source,
        reason=str(report.reason),
        detail=report.detail,
        request_ids=[row.asked.request_id for row in rows[:MOST_NAMED] if row.asked.request_id],
        **({"trace_ids": traces} if traces else {}),
        lists=len(rows),
        exc_info=unforeseen,
    )
