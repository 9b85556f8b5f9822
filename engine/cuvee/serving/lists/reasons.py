"""Why each item is shown, in the words of the source that contributed most to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import structlog

from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.ask import Ask, Call, Status
from cuvee.ranking.pipeline import Answer
from cuvee.ranking.plan import Plan, Source
from cuvee.recommender import Ints, Queries, Recommender

__all__ = ["explain"]

log = structlog.get_logger(__name__)

ROUNDS = 2
"""How many sources are asked about an item before it stays without a word."""
SECONDS = 0.02
"""For a batch, and again for each of its rows: words are worth less than an answer that is soon there."""
LONGEST = 300
"""Characters of a reason; a longer one is cut."""


_Wanted: TypeAlias = tuple[Source, npt.NDArray[Any], npt.NDArray[Any], Ints]
"""A source, and the rows, columns and items, int[P] each, that it is to explain."""


Words: TypeAlias = Sequence[str | None]


def _can_explain(source: Source) -> bool:
    return source.recommender is not None and type(source.recommender).explain is not Recommender.explain


def explain(plan: Plan, queries: Queries, answer: Answer, ask: Ask) -> list[list[str]]:
    """For each of B rows, a reason for each item: those of the blend, then those of the fallback chain.

    An item that nobody can explain has an empty one. Never raises for a source: one that fails or is
    late says nothing.
    """
    blended, filled = answer.blended, answer.fallback
    words = [[""] * (blended.items.shape[1] + filled.items.shape[1]) for _ in range(len(queries))]
    contributions = np.where(np.isnan(blended.raw) | (blended.items < 0), -np.inf, blended.contributions)
    for s, source in enumerate(plan.sources):
        if not _can_explain(source):
            contributions[s] = -np.inf
    for _ in range(ROUNDS if contributions.size else 0):
        best = np.where(contributions.max(axis=0) > -np.inf, contributions.argmax(axis=0), -1)
        wanted: list[_Wanted] = []
        for s in sorted({*best.ravel().tolist()} - {-1}):
            rows, columns = np.nonzero(best == s)
            wanted.append((plan.sources[s], rows, columns, blended.items[rows, columns]))
        if not wanted:
            break
        _say(wanted, queries, ask, words)
        # who was asked is not asked again; an item that has its words needs no more
        silent = np.array([[not word for word in row[: best.shape[1]]] for row in words])
        if not silent[best >= 0].any():
            break
        np.put_along_axis(contributions, best[None], -np.inf, axis=0)
        contributions[:, ~silent] = -np.inf
    if (filled.items >= 0).any():
        first = blended.items.shape[1]
        wanted = []
        for level, source in enumerate(plan.fallback, start=1):
            rows, columns = np.nonzero((filled.levels == level) & (filled.items >= 0))
            if len(rows) and _can_explain(source):
                wanted.append((source, rows, columns + first, filled.items[rows, columns]))
        _say(wanted, queries, ask, words)
    return words


def _say(wanted: Sequence[_Wanted], queries: Queries, ask: Ask, words: list[list[str]]) -> None:
    """Put what each source says of its items (rows, columns, items: int[P] each) into ``words``."""
    if not wanted:
        return
    within = SECONDS * (1 + len(queries))
    calls = [_call(source, queries, rows, items, within) for source, rows, _, items in wanted]
    for (source, rows, columns, _), reply in zip(wanted, ask(calls), strict=True):
        if reply.report.status is Status.DEGRADED:
            if reply.report.reason is not DegradedReason.CIRCUIT_OPEN:
                log.warning("no reasons", source=source.name, problem=repr(reply.report.failure))
            continue
        for b, at, said in zip(rows.tolist(), columns.tolist(), reply.value or (), strict=False):
            if isinstance(said, str):
                words[b][at] = _text(said if type(said) is str else str.__str__(said))


@lru_cache(maxsize=8192)
def _text(said: str) -> str:
    """What can be sent of what a source said; most reasons are given again and again."""
    return said[:LONGEST].encode(errors="ignore").decode()  # a lone surrogate is no text


def _call(
    source: Source, queries: Queries, rows: npt.NDArray[Any], items: Ints, within: float
) -> Call[Sequence[str | None]]:
    n = len(items)

    def check(said: Words) -> Words:
        if len(said) != n:
            raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"explain() gave {len(said)} answers of {n}")
        return said

    method = None if source.recommender is None else source.recommender.explain
    return Call(source, method, (queries, rows.astype(np.int32), items.astype(np.int32)), check, within)
