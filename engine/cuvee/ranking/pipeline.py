"""The way of a request: retrieve, union, score, calibrate, blend, arrange, fall back.

One function for online serving, offline evaluation and batch jobs: they differ in the
:class:`~cuvee.ranking.ask.Ask` that they pass, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.errors import DegradedReason
from cuvee.kernels import best_columns, pick
from cuvee.ranking.arranged import Effects, arranged
from cuvee.ranking.ask import Ask, Report, Status
from cuvee.ranking.explore import place
from cuvee.ranking.fallback import Filled, fall_back
from cuvee.ranking.gather import Gathered, gather
from cuvee.ranking.plan import Plan, Question
from cuvee.ranking.rows import join, padded
from cuvee.recommender import Bools, Floats, Ints, Offsets, Ragged
from cuvee.tracing import span

__all__ = ["Answer", "Scored", "blended", "make_lists", "score_listed"]


@dataclass(frozen=True, slots=True)
class Scored:
    """B lists of M items with the opinion of each of p sources on them."""

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
        """Reorder and cut: int32[B, K] columns of each row, -1 for padding."""
        return Scored(
            items=pick(self.items[None], order, -1)[0],
            scores=pick(self.scores[None], order, np.nan)[0],
            raw=pick(self.raw, order, np.nan),
            calibrated=pick(self.calibrated, order, np.nan),
            contributions=pick(self.contributions, order, 0),
            ranks=pick(self.ranks, order, 0),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """B finished lists."""

    blended: Scored
    """M = k at most; -1 pads where the blend has no more."""
    explored: Bools
    """bool[B, M]: which blended items have their place by exploration and not by their score."""
    configured: Floats
    """float32[p, B], each source's weight by configuration."""
    weights: Floats
    """float32[p, B], the weight of each source in each query, renormalised over those with an opinion."""
    segments: Ints
    """int32[B], index into ``plan.segments``."""
    fallback: Filled
    """The items that fill up the lists for which there were too few blended items."""
    reports: Sequence[Report]
    """One per source of the plan, in its order, then one per source of the fallback chain that was asked."""
    proposed: Ints
    """int32[p, B]: how many candidates each source proposed."""
    served: Bools
    """bool[p, B]: whether a source was asked about a query. A report is the batch's: of a query that
    is not served here it says nothing."""
    opinions: Floats
    """float32[p, B, M]: the opinion of each source on all candidates, NaN = none."""
    order: Ints | None = None
    """int32[B, K]: what stands in each place, as columns of ``blended`` and then of ``fallback`` behind these, -1
    behind the end. None: the blended items, then the others."""
    effects: Effects | None = None
    """What rules did; None where none arranges."""
    withheld: Ints | None = None
    """int32[R, B]: how many items of the catalogue each rule of the plan withheld, where the question counts."""

    @property
    def degraded(self) -> bool:
        """Whether a source that was asked could not answer."""
        return any(r.status is Status.DEGRADED for r in self.reports)

    def places(self) -> Ints:
        """int32[B, K]: what stands in each place, as in ``order``."""
        if self.order is not None:
            return self.order
        there = np.concatenate([self.blended.items, self.fallback.items], axis=1) >= 0
        longest = int(there.sum(axis=1).max(initial=0))
        order = np.argsort(~there, axis=1, kind="stable")[:, :longest].astype(np.int32)
        return np.where(np.take_along_axis(there, order, axis=1), order, np.int32(-1))

    def items(self) -> Ints:
        """int32[B, K]: the lists' items, -1 behind the end of the shorter rows."""
        both = np.concatenate([self.blended.items, self.fallback.items], axis=1)
        order = self.places()
        if not both.shape[1]:
            return np.full(order.shape, -1, np.int32)
        return np.where(order >= 0, np.take_along_axis(both, np.maximum(order, 0), axis=1), np.int32(-1))


def blended(plan: Plan, found: Gathered) -> Scored:
    """Turn opinions into contributions, and these into scores."""
    present = found.items >= 0
    facts = plan.blender.reads_items
    opinions = plan.opinions(found.calibrated, found.weights, found.items, found.ranks, with_facts=facts)
    contributions = plan.blender.contributions(opinions)
    scores = np.where(present, contributions.sum(axis=0), np.nan).astype(np.float32)
    return Scored(found.items, scores, found.raw, found.calibrated, contributions, found.ranks)


def make_lists(plan: Plan, question: Question, ask: Ask) -> Answer:
    """Make the lists for a batch of queries.

    Never raises for a failing source: the answer is made of the others, and its reports say why. A list
    is shorter than asked for only where filter, rules and exclusions leave no more items to show.
    """
    found = gather(plan, question, ask)
    with span("blend"):
        scored = blended(plan, found)
    if plan.arranging(question.segment) or question.shown is not None:
        return _with_rules(plan, question, found, scored, ask)
    with span("arrange"):
        shown, explored = _best(scored, found, question.k)
    full = shown.items.shape[1] == question.k and bool((shown.items[:, -1:] >= 0).all())
    if full:
        return _answer(plan, found, shown, explored, Filled.none(len(found.lengths)))
    why = _why_short(found, question)
    with span("fall back"):
        filled, more = fall_back(plan, found.queries, shown.items, question.k, why, ask)
    return _answer(plan, found, shown, explored, filled, more)


def _answer(
    plan: Plan, found: Gathered, shown: Scored, explored: Bools, filled: Filled, more: Sequence[Report] = ()
) -> Answer:
    segments, reports = plan.segment_of(found.lengths), (*found.reports, *more)
    return Answer(
        shown, explored, found.configured, found.weights, segments, filled, reports, found.proposed, found.served,
        found.raw, withheld=found.withheld,
    )  # fmt: skip


def _best(scored: Scored, found: Gathered, k: int) -> tuple[Scored, Bools]:
    """B lists of up to k, and bool[B, K]: which items have their place by exploration and not by their score."""
    if found.drawn is None or not scored.items.shape[1]:
        shown = scored.take(best_columns(scored.scores, k))
        return shown, np.zeros(shown.items.shape, np.bool_)
    order = best_columns(scored.scores, scored.items.shape[1])
    proposed = np.asarray((found.ranks > 0).any(axis=0))
    columns, explored = place(scored.items, order, proposed, found.drawn)
    return scored.take(columns), explored


def _with_rules(plan: Plan, question: Question, found: Gathered, scored: Scored, ask: Ask) -> Answer:
    """The lists as the plan's rules want them, behind what earlier pages showed."""
    why = _why_short(found, question)
    reports: list[Report] = []

    def fill(rows: Offsets, gone: Ragged, most: int) -> Filled:
        queries = found.queries.select(rows)
        queries = replace(queries, excluded=join([queries.excluded, gone]))
        nothing = np.empty((len(rows), 0), np.int32)
        with span("fall back"):
            filled, reports[:] = fall_back(plan, queries, nothing, most, [why[b] for b in rows], ask)
        return filled

    with span("arrange"):
        made = arranged(plan, question, found, scored.scores, fill)
    m = scored.items.shape[1]
    blended, filled = (made.columns >= 0) & (made.columns < m), made.columns >= m
    order, columns, extra = _apart(made.columns, blended, filled, m)
    shown = replace(scored, scores=made.scores).take(columns)
    shown.scores[shown.items >= 0] -= made.penalty[blended]
    explored = np.zeros(shown.items.shape, np.bool_)
    explored[shown.items >= 0] = made.explored[blended]
    there = extra >= 0
    fallback = replace(
        made.filled,
        items=pick(made.filled.items[None], extra, -1)[0],
        scores=pick(made.filled.scores[None], extra, np.nan)[0],
        levels=np.where(there, pick(made.filled.levels[None], extra, 0)[0], 0).astype(np.int32),
        reasons=why,
    )
    answer = _answer(plan, found, shown, explored, fallback, reports)
    return replace(answer, order=order, effects=made.effects)


def _apart(columns: Ints, blended: Bools, filled: Bools, m: int) -> tuple[Ints, Ints, Ints]:
    """Lists over candidates and others as the columns of each, int32[B, W] and [B, F], and their order int32[B, K]."""
    own = padded(Ragged(np.concatenate([[0], np.cumsum(blended.sum(axis=1))]), columns[blended]))
    other = padded(Ragged(np.concatenate([[0], np.cumsum(filled.sum(axis=1))]), columns[filled] - m))
    order = np.where(blended, np.cumsum(blended, axis=1) - 1, own.shape[1] + np.cumsum(filled, axis=1) - 1)
    return np.where(blended | filled, order, -1).astype(np.int32), own, other.astype(np.int32)


def _why_short(found: Gathered, question: Question) -> list[DegradedReason]:
    """Per query, the reason why its blended list may be too short: a source failed, or the user is cold."""
    if question.only_fallback:
        return [question.only_fallback] * len(found.lengths)
    reasons = [DegradedReason.COLD_USER if n == 0 else DegradedReason.EMPTY for n in found.lengths]
    for report, rows in reversed(list(zip(found.reports, found.served, strict=True))):
        if report.status is Status.DEGRADED and report.reason:
            for b in np.flatnonzero(rows):
                reasons[b] = report.reason
    return reasons


def score_listed(plan: Plan, question: Question, ask: Ask) -> Answer:
    """Rank the caller's own lists (``question.listed``): every item comes back, best first.

    Retrieval ranks are 0, and there is no fallback: nothing is added to a list that the caller made.
    """
    if question.listed is None:
        raise ValueError("score_listed needs question.listed")
    found = gather(plan, question, ask)
    with span("blend"):
        scored = blended(plan, found)
    shown = scored.take(best_columns(scored.scores, question.listed.shape[1]))
    explored = np.zeros(shown.items.shape, np.bool_)
    return _answer(plan, found, shown, explored, Filled.none(len(found.lengths)))
