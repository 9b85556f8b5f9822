"""The way of a request: retrieve, union, score, calibrate, blend, arrange, fall back.

One function for online serving, offline evaluation and batch jobs: they differ in the
:class:`~cuvee.ranking.ask.Ask` that they pass, and in nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.errors import DegradedReason
from cuvee.ranking.ask import Ask, Report, Status, ask_candidates, ask_score
from cuvee.ranking.blend import Opinions, live_weights
from cuvee.ranking.fallback import Filled, fall_back
from cuvee.ranking.plan import Plan, Question, Source
from cuvee.ranking.retrieve import join, ranks_in, union
from cuvee.recommender import Bools, Candidates, Floats, Ints, Queries

__all__ = ["Answer", "Scored", "make_lists", "score_listed"]


@dataclass(frozen=True, slots=True)
class Scored:
    """B lists of M items with what each of p sources had to say of them."""

    items: Ints
    """int32[B, M], -1 pads."""
    scores: Floats
    """float32[B, M]: the sum of ``contributions`` over the sources; NaN where padded."""
    raw: Floats
    """float32[p, B, M], NaN = no opinion."""
    calibrated: Floats
    """float32[p, B, M], NaN = no opinion."""
    contributions: Floats
    """float32[p, B, M]."""
    ranks: Ints
    """int32[p, B, M]: 1-based place in the source's own candidates, 0 = not proposed by it."""

    def take(self, order: Ints) -> Scored:
        """Reorder and cut: int[B, K] columns of each row."""
        each = order[None]
        return Scored(
            items=np.take_along_axis(self.items, order, axis=1),
            scores=np.take_along_axis(self.scores, order, axis=1),
            raw=np.take_along_axis(self.raw, each, axis=2),
            calibrated=np.take_along_axis(self.calibrated, each, axis=2),
            contributions=np.take_along_axis(self.contributions, each, axis=2),
            ranks=np.take_along_axis(self.ranks, each, axis=2),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """B finished lists."""

    blended: Scored
    """M = k at most; -1 pads where the blend has no more."""
    weights: Floats
    """float32[p, B], what each source weighed in each query."""
    segments: Ints
    """int32[B], index into ``plan.segments``."""
    fallback: Filled
    """What stands behind the blended items of the queries that came short."""
    reports: Sequence[Report]
    """One per source of the plan, in its order, then one per source of the fallback chain that was asked."""
    proposed: Ints
    """int32[p, B]: how many candidates each source proposed."""
    served: Bools
    """bool[p, B]: whether a source was asked about a query. A report is the batch's: of a query that
    is not served here it says nothing."""

    @property
    def degraded(self) -> bool:
        """Whether any source that was asked could not answer."""
        return any(r.status is Status.DEGRADED for r in self.reports)

    def items(self) -> Ints:
        """int32[B, K]: blended items, then fallback items, -1 behind the end of the shorter rows."""
        both = np.concatenate([self.blended.items, self.fallback.items], axis=1)
        longest = int((both >= 0).sum(axis=1).max(initial=0))
        order = np.argsort(both < 0, axis=1, kind="stable")[:, :longest]
        return np.take_along_axis(both, order, axis=1)


def _merge(first: Report, then: Report) -> Report:
    """Two calls of one source as one report: the failure shows, latencies add up."""
    worse = then if then.status is Status.DEGRADED else first
    return replace(worse, latency=first.latency + then.latency)


def _best_first(scored: Scored, k: int) -> Ints:
    """int[B, K] columns: by falling score, equals in order of position; padding last."""
    keys = np.where(scored.items >= 0, -scored.scores, np.inf)
    return np.argsort(keys, axis=1, kind="stable")[:, :k].astype(np.int32)


def _segments(plan: Plan, question: Question) -> tuple[Ints, Floats]:
    """int32[B] and the configured weights float32[p, B]."""
    segments = plan.segment_of(question.queries.histories.liked)
    if question.segment is not None and question.segment in plan.weights:
        return segments, np.repeat(plan.weights_of(question.segment)[:, None], len(segments), axis=1)
    tables = np.stack([plan.weights_of(name) for name, _ in plan.segments], axis=1)
    return segments, tables[:, segments]


def _restricted(plan: Plan, question: Question) -> Queries:
    """The queries with the rules' restrictions added to the caller's own."""
    queries = question.queries
    excluded = [queries.excluded]
    for rule in plan.rules:
        found = rule.excluded(queries, question.seen)
        if found is not None:
            excluded.append(found)
    eligible = queries.eligible
    if plan.eligible is not None:
        eligible = plan.eligible if eligible is None else eligible & plan.eligible
    return replace(queries, excluded=join(excluded), eligible=eligible)


def _served(plan: Plan, queries: Queries, weights: Floats) -> Bools:
    """bool[p, B]: which source is asked about which query. One that failed to load is asked, and fails."""
    served = [
        queries.served_by(s.recommender.serves) if s.recommender else np.ones(len(queries), np.bool_)
        for s in plan.sources
    ]
    return np.stack(served) & (weights > 0) if served else np.zeros((0, len(queries)), np.bool_)


def _not_asked(source: Source, weights: Floats) -> Report:
    why = "" if weights.any() else "weight 0 in this segment"
    return Report(source.name, Status.NOT_SERVING, detail=why, model_version=source.version)


async def _score_all(
    plan: Plan, queries: Queries, items: Ints, asked: Sequence[int], ask: Ask
) -> tuple[Floats, dict[int, Report]]:
    """float32[p, B, M] raw opinions, NaN where a source has none or failed."""
    raw = np.full((len(plan.sources), *items.shape), np.nan, np.float32)
    reports: dict[int, Report] = {}
    if items.shape[1] == 0:
        return raw, reports
    replies = await asyncio.gather(*(ask_score(ask, plan.sources[s], queries, items) for s in asked))
    for s, reply in zip(asked, replies, strict=True):
        reports[s] = reply.report
        if reply.value is not None:
            raw[s] = np.where(items >= 0, reply.value, np.nan)
    return raw, reports


def _blend(plan: Plan, items: Ints, raw: Floats, ranks: Ints, weights: Floats, served: Bools) -> tuple[Scored, Floats]:
    """Calibrate and blend; gives the weights that were used, too."""
    raw = np.where(served[:, :, None], raw, np.nan)
    calibrated = np.stack([plan.calibrators[s.name].calibrate(raw[i]) for i, s in enumerate(plan.sources)])
    used = live_weights(weights, np.asarray((~np.isnan(raw)).any(axis=2)))
    present = items >= 0
    contributions = plan.blender.contributions(Opinions(calibrated, used, present))
    scores = np.where(present, contributions.sum(axis=0), np.nan).astype(np.float32)
    return Scored(items, scores, raw, calibrated, contributions, ranks), used


async def make_lists(plan: Plan, question: Question, ask: Ask) -> Answer:
    """Make the lists for a batch of queries.

    Never raises for a failing source: the answer is made of the others, and its reports say why.
    """
    queries = _restricted(plan, question)
    n, b = len(plan.catalog.items), len(queries)
    segments, weights = _segments(plan, question)
    served = _served(plan, queries, weights) & (question.only_fallback is None)
    asked = [s for s in range(len(plan.sources)) if served[s].any()]
    reports = [_not_asked(s, w) for s, w in zip(plan.sources, weights, strict=True)]

    replies = await asyncio.gather(
        *(ask_candidates(ask, plan.sources[s], queries, plan.sources[s].candidates, n) for s in asked)
    )
    proposals: dict[int, Candidates] = {}
    for s, reply in zip(asked, replies, strict=True):
        reports[s] = reply.report
        if reply.value is not None:
            proposals[s] = _for_served(reply.value, served[s])

    items = union(list(proposals.values()), queries.excluded, queries.eligible, n, plan.max_candidates)
    raw, scoring = await _score_all(plan, queries, items, list(proposals), ask)
    for s, report in scoring.items():
        reports[s] = _merge(reports[s], report)

    ranks = np.zeros((len(plan.sources), *items.shape), np.int32)
    proposed = np.zeros((len(plan.sources), b), np.int32)
    for s, proposal in proposals.items():
        ranks[s] = ranks_in(proposal, items, n)
        proposed[s] = (proposal.items >= 0).sum(axis=1)
    scored, used = _blend(plan, items, raw, ranks, weights, served)
    shown = scored.take(_best_first(scored, question.k))
    why = [question.only_fallback or reason for reason in _why_short(queries, reports, served)]
    filled, more = await fall_back(plan, queries, shown.items, question.k, why, ask)
    return Answer(shown, used, segments, filled, (*reports, *more), proposed, served)


def _for_served(proposal: Candidates, served: Bools) -> Candidates:
    """Without what a source proposes for queries that it was not asked about (bool[B]).

    They are in the batch for the sake of others; alone, they would not have got these candidates.
    """
    if served.all():
        return proposal
    return replace(proposal, items=np.where(served[:, None], proposal.items, np.int32(-1)))


def _why_short(queries: Queries, reports: Sequence[Report], served: Bools) -> list[DegradedReason]:
    """Per query, the reason why its blended list may be short: a source that failed it, or its coldness."""
    reasons = [DegradedReason.COLD_USER if n == 0 else DegradedReason.EMPTY for n in queries.histories.liked]
    for report, rows in reversed(list(zip(reports, served, strict=True))):
        if report.status is Status.DEGRADED and report.reason:
            for b in np.flatnonzero(rows):
                reasons[b] = report.reason
    return reasons


async def score_listed(plan: Plan, question: Question, ask: Ask) -> Answer:
    """Rank the caller's own lists (``question.listed``): every item comes back, best first.

    Retrieval ranks are 0, and there is no fallback: nothing is added to a list that the caller made.
    """
    items = question.listed
    if items is None:
        raise ValueError("score_listed needs question.listed")
    queries = question.queries
    segments, weights = _segments(plan, question)
    served = _served(plan, queries, weights)
    asked = [s for s in range(len(plan.sources)) if served[s].any()]
    reports = [_not_asked(s, w) for s, w in zip(plan.sources, weights, strict=True)]
    raw, scoring = await _score_all(plan, queries, items, asked, ask)
    for s, report in scoring.items():
        reports[s] = report
    ranks = np.zeros(raw.shape, np.int32)
    scored, used = _blend(plan, items, raw, ranks, weights, served)
    shown = scored.take(_best_first(scored, items.shape[1]))
    proposed = np.zeros((len(plan.sources), len(queries)), np.int32)
    return Answer(shown, used, segments, Filled.none(len(queries)), reports, proposed, served)
