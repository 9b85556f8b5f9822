"""What is counted of each run of the pipeline, for one product.

A run leaves references to what it made, and many runs are counted at once, in numpy: so one request costs a few
microseconds here, however long its list is.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np

from cuvee.artifacts.snapshot import Snapshot
from cuvee.product import CATALOGUE
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.pipeline import Answer
from cuvee.ranking.plan import Plan
from cuvee.recommender import Floats
from cuvee.serving.telemetry.drift import Drift
from cuvee.serving.telemetry.figures import Counter, Figures, Histogram, Readings

__all__ = ["Shown"]

MOST_WAITING = 64
"""Runs after which they are counted, whether or not somebody asks."""
LEARNT = "quantile"
"""The calibrator whose quantiles say how scores lay at fit; every fit learns them."""


NO_OPINIONS: Floats = np.empty((0, 0, 0), np.float32)

LATELY = 5.0
"""Seconds: an answer of a source, or the lack of one, counts for so long."""
ENOUGH = 3
"""Runs without an answer before a product counts as silent."""


class _Run(NamedTuple):
    plan: Plan
    answer: Answer
    troubled: Sequence[bool]
    shows: bool


class Shown:
    """Counts one product's runs, from any thread."""

    def __init__(self, figures: Figures, product: str) -> None:
        self._figures, self._product = figures, product
        self._lock = threading.Lock()
        self._waiting: deque[_Run] = deque()
        self._drift = Drift()
        self._sources_kept: dict[str, tuple[Counter, Histogram]] = {}
        self._lists = figures.counter("cuvee_lists_total", product)
        self._degraded = figures.counter("cuvee_lists_degraded_total", product)
        self._rows = figures.histogram("cuvee_batch_rows", product)
        self._answered = self._unanswered = -math.inf
        self._in_a_row = 0
        figures.before(self.count)
        figures.watch("cuvee_score_drift", self._drifted)

    def note(self, snapshot: Snapshot, answer: Answer, troubled: Sequence[bool], *, shows: bool, usual: bool) -> None:
        """A run is over.

        Args:
            snapshot: what answered.
            answer: what it made.
            troubled: of each list whether it lacks something that no source brings, such as a history.
            shows: whether the lists were chosen here; false for a caller's own.
            usual: whether sources were asked as they were at fit, so that their scores can be compared.
        """
        # the opinions on all candidates are megabytes, and are not counted
        self._waiting.append(_Run(snapshot.plan, replace(answer, opinions=NO_OPINIONS), troubled, shows))
        self._listen(answer, len(snapshot.plan.sources))
        if shows and usual and self._drift.due:
            learnt = {name: one.calibration.get(LEARNT, {}) for name, one in snapshot.manifest.models.items()}
            asked = zip(snapshot.plan.sources, answer.served[:, 0], answer.opinions[:, 0], strict=True)
            self._drift.look(snapshot.version, learnt, {source.name: said for source, was, said in asked if was})
        if len(self._waiting) >= MOST_WAITING:
            self.count()

    @property
    def silent(self) -> bool:
        """Whether sources were asked of late, several times, and none of them has answered.

        What happened longer ago is forgotten: callers who look at health come back, and their requests find out more.
        """
        now = time.monotonic()
        return self._in_a_row >= ENOUGH and now < self._unanswered + LATELY and now > self._answered + LATELY

    def _listen(self, answer: Answer, p: int) -> None:
        """Whether any of p sources has answered."""
        said = {report.status for report in answer.reports[:p]}
        if Status.LIVE in said:
            self._answered, self._in_a_row = time.monotonic(), 0
        elif Status.DEGRADED in said:
            self._unanswered = time.monotonic()
            self._in_a_row += 1

    def count(self) -> None:
        """Count what waits."""
        with self._lock:
            runs = [self._waiting.popleft() for _ in range(len(self._waiting))]
            for _, alike in groupby(runs, key=lambda run: id(run.plan)):
                self._count(list(alike))

    def _drifted(self) -> Readings:
        return {(self._product, source): value for source, value in self._drift.index().items()}

    def _count(self, runs: Sequence[_Run]) -> None:
        """Runs of one plan."""
        plan = runs[0].plan
        for run in runs:
            self._rows.add(len(run.troubled))
            self._lists.add(len(run.troubled))
            self._sources(plan, run)
        shown = [run.answer for run in runs if run.shows]
        if shown and plan.sources:
            self._blended(plan, shown)
        for answer in shown:
            if answer.fallback.items.size:
                self._filled(plan, answer)

    def _sources(self, plan: Plan, run: _Run) -> None:
        """How the sources did, and which lists they have failed."""
        figures, product = self._figures, self._product
        failed: list[int] = []
        for at, report in enumerate(run.answer.reports):
            if report.status is Status.NOT_SERVING:
                continue
            kept = self._sources_kept.get(report.source)
            if kept is None:
                kept = self._sources_kept[report.source] = (
                    figures.counter("cuvee_source_runs_total", product, report.source),
                    figures.histogram("cuvee_source_duration_seconds", product, report.source),
                )
            kept[0].value += 1
            kept[1].add(report.latency)
            if report.status is Status.DEGRADED:
                figures.counter("cuvee_source_degraded_total", product, report.source, _why(report)).add()
                failed.append(at)
        if failed or any(run.troubled):
            degraded = np.array(run.troubled)
            for at in failed:
                if at < len(plan.sources):
                    degraded |= run.answer.served[at]
                else:  # a source of the chain, which is asked about lists that came short
                    degraded |= (run.answer.fallback.levels > at - len(plan.sources)).any(axis=1)
            self._degraded.add(int(degraded.sum()))

    def _blended(self, plan: Plan, answers: Sequence[Answer]) -> None:
        """Who contributed most to each item, and who had no opinion on it."""
        p = len(plan.sources)
        there = np.concatenate([a.blended.items.ravel() for a in answers]) >= 0
        best = np.concatenate([a.blended.contributions.reshape(p, -1) for a in answers], axis=1).argmax(axis=0)
        explored = np.concatenate([a.explored.ravel() for a in answers])
        unknown = np.isnan(np.concatenate([a.blended.raw.reshape(p, -1) for a in answers], axis=1))
        asked = np.concatenate([np.repeat(a.served, a.blended.items.shape[1], axis=1) for a in answers], axis=1) & there
        counts = np.bincount((best + explored * p)[there], minlength=2 * p).reshape(2, p).tolist()
        opinions, missing = asked.sum(axis=1).tolist(), (asked & unknown).sum(axis=1).tolist()
        for s, source in enumerate(plan.sources):
            for place, count in zip(("blend", "explored"), (counts[0][s], counts[1][s]), strict=True):
                self._add(count, "cuvee_items_shown_total", source.name, place)
            if opinions[s]:  # both, so that a share of 0 is seen as 0
                self._figures.counter("cuvee_opinions_total", self._product, source.name).add(opinions[s])
                self._figures.counter("cuvee_opinions_missing_total", self._product, source.name).add(missing[s])

    def _filled(self, plan: Plan, answer: Answer) -> None:
        """What the fallback chain filled in."""
        levels = answer.fallback.levels[answer.fallback.items >= 0]
        for level, count in enumerate(np.bincount(levels).tolist()):
            filler = plan.filler(level) if level else None
            name = filler.name if filler else CATALOGUE
            self._add(count, "cuvee_items_shown_total", name, "fallback")
            self._add(count, "cuvee_fallback_items_total", str(level) if filler else CATALOGUE)

    def _add(self, count: int, name: str, *labels: str) -> None:
        if count:
            self._figures.counter(name, self._product, *labels).add(count)


def _why(report: Report) -> str:
    return str(report.reason) if report.reason is not None else "UNKNOWN"
