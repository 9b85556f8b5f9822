"""Gathering opinions: retrieve, union, score, calibrate. Everything up to the blend.

Serving blends what is gathered at once; tuning and learning keep it, and blend it again and again.
So what weights are learnt from is what they will be used on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cuvee import kernels
from cuvee.errors import DegradedReason
from cuvee.ranking.ask import Ask, Report, Status, candidates_of, scores_of
from cuvee.ranking.blend import live_weights
from cuvee.ranking.explore import Drawn
from cuvee.ranking.plan import EVERYWHERE, Plan, Question, Source
from cuvee.ranking.rows import join
from cuvee.recommender import Bools, Floats, Ints, Offsets, Queries
from cuvee.rules import Restriction, Rule
from cuvee.tracing import span

__all__ = ["Gathered", "gather"]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What p sources say of up to M candidates of each of B queries."""

    queries: Queries
    """With the rules' restrictions added to the caller's own."""
    lengths: Offsets
    """int64[B]: liked events in the history."""
    items: Ints
    """int32[B, M], in order of position (as the caller listed them, if he did); -1 pads."""
    raw: Floats
    """float32[p, B, M], NaN = no opinion."""
    calibrated: Floats
    """float32[p, B, M], NaN = no opinion."""
    ranks: Ints
    """int32[p, B, M]: 1-based place in the source's own candidates, 0 = not proposed by it."""
    proposed: Ints
    """int32[p, B]: how many candidates each source proposed."""
    configured: Floats
    """float32[p, B]: the weights by configuration."""
    weights: Floats
    """float32[p, B]: the configured weights, renormalised over the sources that have an opinion."""
    served: Bools
    """bool[p, B]: which source was asked about which query."""
    reports: Sequence[Report]
    """One per source."""
    drawn: Drawn | None = None
    """What is drawn for exploration, where the plan explores."""
    withheld: Ints | None = None
    """int32[R, B]: how many items of the catalogue each rule of the plan withholds, where the question counts."""


def _restricted(plan: Plan, question: Question) -> tuple[Queries, list[Ints], Ints | None]:
    """The queries with the rules' restrictions added to the caller's own, what rules want to be scored, and counts."""
    queries = question.queries
    excluded, wanted = [queries.excluded], []
    eligible = queries.eligible
    if plan.eligible is not None:
        eligible = plan.eligible if eligible is None else eligible & plan.eligible
    withheld = np.zeros((len(plan.rules), len(queries)), np.int32) if question.counts else None
    for rule in plan.rules_on(question.segment):
        found = rule.restrict(queries, question.seen)
        if rule.eligible is not None and rule.on != EVERYWHERE:
            eligible = rule.eligible if eligible is None else eligible & rule.eligible
        if withheld is not None:
            withheld[list(plan.rules).index(rule)] = _withheld(rule, found, len(queries))
        if found is None:
            continue
        if found.excluded is not None:
            excluded.append(found.excluded)
        if found.wanted is not None:
            wanted.append(found.wanted)
    return replace(queries, excluded=join(excluded), eligible=eligible), wanted, withheld


def _withheld(rule: Rule[Any], found: Restriction | None, b: int) -> Offsets:
    """int64[B]: how many items of the catalogue a rule withholds from each query."""
    never = 0 if rule.eligible is None else int((~rule.eligible).sum())
    if found is None or found.excluded is None:
        return np.full(b, never, np.int64)
    rows = (np.unique(found.excluded.row(at)) for at in range(b))
    return np.array(
        [never + (len(row) if rule.eligible is None else int(rule.eligible[row].sum())) for row in rows], np.int64
    )


def _sealed(queries: Queries) -> Queries:
    """The same with read-only arrays: all sources get them, and none may change them for the others."""
    histories, excluded = queries.histories, queries.excluded
    arrays = (
        histories.offsets,
        histories.items,
        histories.weights,
        histories.times,
        queries.users,
        excluded.offsets,
        excluded.items,
        queries.eligible,
    )
    for array in arrays:
        if array is not None:
            array.setflags(write=False)
    return queries


def _served(plan: Plan, queries: Queries, weights: Floats) -> Bools:
    """bool[p, B]: which source is asked about which query. One that could not be loaded counts as asked, and fails."""
    served = [
        queries.served_by(s.recommender.serves) if s.recommender else np.ones(len(queries), np.bool_)
        for s in plan.sources
    ]
    return np.stack(served) & (weights > 0) if served else np.zeros((0, len(queries)), np.bool_)


def _many(source: Source, question: Question) -> int:
    """How many candidates a source proposes per query."""
    if question.width >= 1:
        return source.candidates
    least = question.k + (0 if question.shown is None else question.shown.shape[1])
    return min(max(math.ceil(question.width * source.candidates), least), source.candidates)


def _not_asked(source: Source, weights: Floats) -> Report:
    why = "" if weights.any() else "weight 0 in this segment"
    return Report(source.name, Status.NOT_SERVING, detail=why, model_version=source.version)


def _merge(first: Report, then: Report) -> Report:
    """Two calls of one source as one report: the failure shows, latencies add up."""
    worse = then if then.status is Status.DEGRADED else first
    return replace(worse, latency=first.latency + then.latency)


def _score_all(
    plan: Plan, queries: Queries, items: Ints, served: Bools, asked: Sequence[int], ask: Ask
) -> tuple[Floats, Bools, dict[int, Report]]:
    """float32[p, B, M] raw opinions, NaN where a source has none or failed; bool[p, B]: which source has any."""
    raw = np.empty((len(plan.sources), *items.shape), np.float32)
    live = np.zeros(served.shape, np.bool_)
    reports: dict[int, Report] = {}
    if items.shape[1]:
        replies = ask([scores_of(plan.sources[s], queries, items) for s in asked])
        for s, reply in zip(asked, replies, strict=True):
            said = None if reply.value is None else kernels.settle(reply.value, items, served[s], raw[s])
            if said is not None:
                live[s] = said
                reports[s] = reply.report
            elif reply.value is None:
                reports[s] = reply.report
            else:
                detail = "score() returned an infinite score"
                reports[s] = replace(
                    reply.report, status=Status.DEGRADED, reason=DegradedReason.INVALID_OUTPUT, detail=detail
                )
    for s in range(len(raw)):
        if not live[s].any():
            raw[s] = np.nan
    return raw, live, reports


def gather(plan: Plan, question: Question, ask: Ask) -> Gathered:
    """Ask every source that serves a query and has a weight there; never raises for a failing one.

    With ``question.listed``, opinions on these items alone, and no rule applies. With
    ``question.only_fallback``, nobody is asked.
    """
    listed = question.listed
    with span("rules"):
        queries, wanted, withheld = (question.queries, [], None) if listed is not None else _restricted(plan, question)
        queries = _sealed(queries)
    n, b, p = len(plan.catalog.items), len(queries), len(plan.sources)
    lengths = queries.histories.liked
    configured = plan.mixed_weights(lengths, question.segment)
    served = _served(plan, queries, configured) & (question.only_fallback is None)
    asked = [s for s in range(p) if served[s].any()]
    reports = [_not_asked(s, w) for s, w in zip(plan.sources, configured, strict=True)]
    drawn: Drawn | None = None
    proposed = np.zeros((p, b), np.int32)
    proposals: dict[int, Ints] = {}
    if listed is None:
        replies = ask([candidates_of(plan.sources[s], queries, _many(plan.sources[s], question), n) for s in asked])
        for s, reply in zip(asked, replies, strict=True):
            reports[s] = reply.report
            if reply.value is not None:
                proposals[s] = reply.value.items
        if plan.explorer and question.segment is None and question.only_fallback is None:
            before = 0 if question.shown is None else question.shown.shape[1]
            drawn = plan.explorer.draw(queries, before + question.k)
        # proposals for a query that a source was not asked about do not count: alone, the query would not have got them
        found, whose = [*proposals.values()], served[[*proposals]]
        more = [*wanted, drawn.items] if drawn else wanted
        if more:
            found, whose = [*found, *more], np.concatenate([whose, np.ones((len(more), b), np.bool_)])
        excluded = (queries.excluded.offsets, queries.excluded.items)
        with span("union"):
            items, counts = kernels.union(found, whose, excluded, queries.eligible, n, plan.max_candidates)
        proposed[[*proposals]] = counts[: len(proposals)]
        asked = [*proposals]
    else:
        items = listed
    items.setflags(write=False)
    raw, live, scoring = _score_all(plan, queries, items, served, asked, ask)
    for s, report in scoring.items():
        reports[s] = _merge(reports[s], report) if listed is None else report

    ranks = np.zeros((p, *items.shape), np.int32)
    if proposals:
        ranks[[*proposals]] = kernels.ranks([*proposals.values()], served[[*proposals]], items, n)
        for s in proposals:
            if reports[s].status is Status.LIVE and not live[s].any() and ranks[s].any():
                silent = "score() has no opinion on any candidate, its own among them"
                reports[s] = replace(reports[s], status=Status.DEGRADED, reason=DegradedReason.EMPTY, detail=silent)
    calibrated = np.empty_like(raw)
    with span("calibrate"):
        for s, source in enumerate(plan.sources):
            calibrated[s] = plan.calibrators[source.name].calibrate(raw[s])
    weights = live_weights(configured, live)
    return Gathered(
        queries,
        lengths,
        items,
        raw,
        calibrated,
        ranks,
        proposed,
        configured,
        weights,
        served,
        reports,
        drawn,
        withheld,
    )
