"""A run: rows of one kind go through the pipeline once, within one deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from cuvee.config import Limits
from cuvee.errors import DeadlineExceeded, DegradedReason
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.pipeline import Answer, make_lists, score_listed
from cuvee.serving.deadline import BULK_PATIENCE, left_until
from cuvee.serving.lists.batching import Batcher
from cuvee.serving.lists.budgets import Budget
from cuvee.serving.lists.edge import Row, assemble
from cuvee.serving.lists.hooks import Hooks
from cuvee.serving.lists.reasons import explain

__all__ = ["Made", "Runs"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made for one row: row ``b`` of a batch's answer."""

    row: Row
    answer: Answer
    b: int
    reasons: dict[int, str]
    """By item."""


class Runs:
    """One product's runs.

    Single requests gather into batches; bulk calls bring their own, and wait for each other, so
    that they cannot take every slot.
    """

    def __init__(self, product: str, limits: Limits, hooks: Hooks) -> None:
        bulk = max(1, limits.threads // 4)
        single = max(1, limits.threads - bulk)
        # each run takes at most one slot of a source at a time: only stuck calls can use them up
        self.budget = Budget(product, single + bulk, patience=limits.deadline / 4)
        self._hooks = hooks
        self._limit = limits.deadline
        self._bulk = asyncio.Semaphore(bulk)
        self._single: Batcher[Row, Made] = Batcher(self.run, single)

    async def ask(self, row: Row, deadline: float) -> Made:
        """One row's list, made together with whatever else waits."""
        return await self._single.ask(row, row.kind, deadline)

    async def ask_many(self, rows: Sequence[Row], deadline: float) -> list[Made | Exception]:
        """The lists for rows of one kind, one run of their own when its turn has come."""
        async with self._bulk:
            if left_until(deadline) <= 0:
                raise DeadlineExceeded("no time was left for this part of the batch; ask for less at once")
            return await self.run(rows, min(deadline, time.monotonic() + BULK_PATIENCE * self._limit))

    async def run(self, rows: Sequence[Row], deadline: float) -> list[Made | Exception]:
        """The lists for rows of one kind, at once, or what went wrong.

        Sources that fail are no reason for that. A rule may be; then each row is tried alone, so
        that one does not cost the others their answers.
        """
        try:
            return [*await self._made(rows, deadline)]
        except Exception as problem:  # noqa: BLE001 - it is handed on, to be told or hidden where all errors are
            if len(rows) == 1:
                return [problem]
        return [one for row in rows for one in await self.run([row], deadline)]

    async def _made(self, rows: Sequence[Row], deadline: float) -> list[Made]:
        served = rows[0].served
        plan = served.snapshot.plan
        question = assemble(rows)
        ask = self.budget.ask(deadline)
        reports: Sequence[Report] = ()
        try:
            answer = await (make_lists if question.listed is None else score_listed)(plan, question, ask)
            reports = answer.reports
            reasons = await explain(plan, question.queries, answer, ask, deadline)
        finally:
            ask.settle(reports)
        unloaded = {s.name for s in (*plan.sources, *plan.fallback) if s.recommender is None}
        for report in reports:
            if report.status is Status.DEGRADED and report.source not in unloaded:
                _log(plan.product, report)
        self._hooks.observe(question.queries, answer)
        return [Made(row, answer, b, reasons[b]) for b, row in enumerate(rows)]

    def close(self) -> None:
        """Let idle threads go."""
        self.budget.close()


def _log(product: str, report: Report) -> None:
    """Say once what went wrong; that a circuit is open was said when it opened."""
    if report.reason is DegradedReason.CIRCUIT_OPEN:
        return
    unforeseen = report.failure if report.reason is DegradedReason.ERROR else None
    log.warning(
        "source degraded",
        product=product,
        source=report.source,
        reason=str(report.reason),
        detail=report.detail,
        exc_info=unforeseen,
    )
