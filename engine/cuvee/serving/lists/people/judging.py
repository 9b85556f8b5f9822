"""What the blend says of one item to many users: gathered and blended as for any list, with the item in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.queries import Bools, Floats
from cuvee.ranking.ask import Ask, Report, Status
from cuvee.ranking.gather import gather
from cuvee.ranking.pipeline import blended
from cuvee.ranking.plan import EVERYWHERE, Plan, Question
from cuvee.rules.shown import ExcludeSeen

__all__ = ["Opinion", "Wanted", "judged"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The item, and whether users who have seen it count as well."""

    item: int
    seen: bool


@dataclass(frozen=True, slots=True)
class Opinion:
    """What p sources say of the item to one user: column ``b`` of a batch's arrays."""

    score: float
    b: int
    part: Bools
    """bool[p, B]: which source has a part in the score."""
    raw: Floats
    """float32[p, B], NaN = no opinion; so are the next two."""
    calibrated: Floats
    contributions: Floats
    weights: Floats
    """float32[p, B]."""


def judged(plan: Plan, question: Question, ask: Ask, wanted: Wanted) -> tuple[Sequence[Report], list[Opinion | None]]:
    """One opinion per query, None for users to whom the item must not be shown; and how the sources did.

    ``question.listed`` has the item in its first column.
    """
    shown = _allowed(plan, question, wanted)
    rows = np.flatnonzero(shown)
    answers: list[Opinion | None] = [None] * len(shown)
    if not len(rows) or question.listed is None:
        return (), answers
    if len(rows) < len(shown):
        queries, seen = question.queries.select(rows), question.seen.select(rows)
        question = replace(question, queries=queries, seen=seen, listed=question.listed[rows])
    found = gather(plan, question, ask)
    scored = blended(plan, found)
    live = np.array([report.status is Status.LIVE for report in found.reports], np.bool_)
    part = found.served & (live[:, None] | (found.weights > 0))
    columns = (part, scored.raw[:, :, 0], scored.calibrated[:, :, 0], scored.contributions[:, :, 0], found.weights)
    # what nobody has an opinion on stands behind all else
    scores = np.nan_to_num(scored.scores[:, 0], nan=-np.inf).tolist()
    for b, row in enumerate(rows.tolist()):
        answers[row] = Opinion(scores[b], b, *columns)
    return found.reports, answers


def _allowed(plan: Plan, question: Question, wanted: Wanted) -> Bools:
    """bool[B]: to whom the product's rules let the item be shown."""
    queries, item = question.queries, wanted.item
    allowed = np.ones(len(queries), np.bool_)
    rules = plan.rules_on(None)
    if not wanted.seen and not any(isinstance(rule, ExcludeSeen) for rule in rules):
        allowed[question.seen.rows[question.seen.items == item]] = False
    for rule in rules:
        if rule.eligible is not None and rule.on != EVERYWHERE and not rule.eligible[item]:
            allowed[:] = False
        if wanted.seen and isinstance(rule, ExcludeSeen):
            continue
        found = rule.restrict(queries, question.seen)
        if found is not None and found.excluded is not None:
            allowed[found.excluded.rows[found.excluded.items == item]] = False
    return allowed
