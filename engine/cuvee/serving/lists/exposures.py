"""What was shown is kept: beside the request, never in its way.

Items are kept for the share of answers that a product wants, and one row for each answer to a participant of an
experiment. What is only looked at (``preview``) is not kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import structlog

from cuvee.data.store import Store
from cuvee.data.store.rows import ExperimentAnswerRow, ExposureRow, now
from cuvee.serving.lists.answers import Made
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.threads import Threads
from cuvee.serving.tracing.store import StoreTimes
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Exposures"]

log = structlog.get_logger(__name__)

MOST = 20_000
"""Rows that may wait; what comes on top is left out, and counted in the log."""
GROUP = 1000
"""Rows of one transaction, about."""


class _ToParticipant(NamedTuple):
    """An answer to a participant of experiments."""

    product: str
    unit: str
    variants: str
    message: bytes
    time: int

    def row(self) -> ExperimentAnswerRow:
        """What is stored of it."""
        answer = pb.RecommendResponse.FromString(self.message)
        return ExperimentAnswerRow(
            self.product, answer.recommendation_id, self.unit, self.variants, answer.segment, len(answer.items),
            self.time,
        )  # fmt: skip


class Exposures:
    """Keeps what was shown."""

    def __init__(self, store: Store, figures: Figures) -> None:
        self._store = store
        self._timed = StoreTimes(figures, "write_exposures")
        self._threads = Threads("exposures", 1)
        self._waiting: deque[list[ExposureRow]] = deque()
        self._answers: deque[_ToParticipant] = deque()
        self._rows = 0
        self._left_out = 0
        self._going: asyncio.Task[None] | None = None

    def note(self, made: Made) -> None:
        """Keep an answer, if it is to be kept; it is stored later and elsewhere."""
        product = made.row.served.snapshot.product
        if made.row.preview:
            return
        if made.row.unit:
            if len(self._answers) < MOST:
                row = made.row
                self._answers.append(_ToParticipant(product.name, row.unit, row.variant, made.message, now()))
                self._go()
            else:
                self._left_out += 1
        if not _chosen(made.recommendation_id, product.events.exposures):
            return
        answer = pb.RecommendResponse.FromString(made.message)
        if not answer.items:
            return
        if self._rows + len(answer.items) > MOST:
            self._left_out += len(answer.items)
            return
        rows = _rows(product.name, made, answer)
        self._waiting.append(rows)
        self._rows += len(rows)
        self._go()

    def _go(self) -> None:
        if self._going is None or self._going.done():
            self._going = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while self._waiting or self._answers:
            group: list[ExposureRow] = []
            while self._waiting and len(group) < GROUP:
                group += self._waiting.popleft()
            answers = [self._answers.popleft() for _ in range(min(GROUP, len(self._answers)))]
            try:
                with self._timed.started():
                    await self._threads.submit(self._write, group, answers)
            except Exception as problem:  # noqa: BLE001 - a list that was shown needs no log to have been good
                count = len(group) + len(answers)
                log.warning("exposures left out", count=count, problem=type(problem).__name__)
            self._rows -= len(group)
            if self._left_out:
                log.warning("exposures left out: the store is too slow", count=self._left_out)
                self._left_out = 0

    def _write(self, group: Sequence[ExposureRow], answers: Sequence[_ToParticipant]) -> None:
        if group:
            self._store.write_exposures(group)
        if answers:
            self._store.write_experiment_answers([one.row() for one in answers])

    async def drain(self, seconds: float) -> None:
        """Wait for what is on its way to the store, at most so long."""
        if self._going is not None and not self._going.done():
            await asyncio.wait([self._going], timeout=max(seconds, 0))

    def close(self) -> None:
        """Let the thread go."""
        self._threads.close()


def _chosen(recommendation_id: str, share: float) -> bool:
    """By the answer's random id, so that whoever knows the id knows whether it was kept."""
    return share > 0 and int(recommendation_id[:8], 16) < share * 2**32


def _rows(product: str, made: Made, answer: pb.RecommendResponse) -> list[ExposureRow]:
    plan, b = made.row.served.snapshot.plan, made.b
    columns = np.flatnonzero(made.answer.blended.items[b] >= 0)
    best = made.answer.blended.contributions[:, b, columns].argmax(axis=0).tolist() if len(columns) else []
    time = now()
    blended = iter(best)
    return [
        ExposureRow(
            product,
            answer.recommendation_id,
            item.position,
            item.item_id,
            time,
            item.fallback.source if item.HasField("fallback") else plan.sources[next(blended)].name,
            answer.segment,
            "fallback" if item.HasField("fallback") else "exploration" if item.exploration else "blend",
            answer.variant,
            answer.snapshot_version,
        )
        for item in answer.items
    ]
