"""Why each item is shown, in the words of the source that contributed most to it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import structlog

from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.ask import Ask
from cuvee.ranking.pipeline import Answer
from cuvee.ranking.plan import Plan, Source
from cuvee.recommender import Ints, Queries, Recommender
from cuvee.serving.deadline import left_until

__all__ = ["explain"]

log = structlog.get_logger(__name__)

ROUNDS = 2
"""How many sources are asked about an item before it stays without a word."""
SECONDS = 0.02
"""For a batch, and again for each of its rows: words are worth less than an answer that is soon there."""
SHARE = 0.4
"""Of what is left of the deadline, for each source: less than an ask grants, so that it ends by itself."""
LONGEST = 300
"""Characters of a reason; a longer one is cut."""


def _can_explain(source: Source) -> bool:
    return source.recommender is not None and type(source.recommender).explain is not Recommender.explain


def _choices(plan: Plan, answer: Answer, b: int, at: int) -> list[Source]:
    """Who may explain the item in column ``at`` of row b: who contributed most comes first."""
    m = answer.blended.items.shape[1]
    if at >= m:
        filler = plan.filler(int(answer.fallback.levels[b, at - m]))
        return [filler] if filler else []
    contributed = answer.blended.contributions[:, b, at]
    told = ~np.isnan(answer.blended.raw[:, b, at])
    return [plan.sources[s] for s in np.argsort(-contributed, kind="stable") if told[s]]


def _words(source: Source, asked: dict[int, Queries], wanted: Sequence[tuple[int, int]], until: float) -> list[str]:
    """Runs in the source's own thread, a row of the batch at a time, as far as time allows.

    Ends by itself: a thread that was given up would go on for nobody. What is missing at the end
    was not asked.
    """
    words: list[str] = []
    recommender = source.recommender
    if recommender is None:
        return words
    for b, of_row in groupby(wanted, key=itemgetter(0)):
        if left_until(until) <= 0:
            break
        items = np.asarray([item for _, item in of_row], np.int32)
        said = recommender.explain(asked[b], items)
        if len(said) != len(items):
            raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"explain() gave {len(said)} answers of {len(items)}")
        words += [word[:LONGEST] if isinstance(word, str) else "" for word in said]
    return words


async def explain(plan: Plan, queries: Queries, answer: Answer, ask: Ask, deadline: float) -> list[dict[int, str]]:
    """For each of B rows: item -> its reason. An item that nobody can explain is left out.

    Never raises for a source: one that fails or is late says nothing.
    """
    b_rows = len(queries)
    reasons: list[dict[int, str]] = [{} for _ in range(b_rows)]
    items: Ints = np.concatenate([answer.blended.items, answer.fallback.items], axis=1)
    choices = {
        (int(b), int(items[b, at])): [s for s in _choices(plan, answer, int(b), int(at)) if _can_explain(s)]
        for b, at in np.argwhere(items >= 0)
    }
    asked: dict[int, Queries] = {}
    ends = time.monotonic() + SECONDS * (1 + b_rows)
    for turn in range(ROUNDS):
        by_source: dict[str, list[tuple[int, int]]] = defaultdict(list)
        sources: dict[str, Source] = {}
        for (b, item), who in choices.items():
            if item not in reasons[b] and len(who) > turn:
                sources[who[turn].name] = who[turn]
                by_source[who[turn].name].append((b, item))
                if b not in asked:
                    asked[b] = queries.select([b])
        for name, wanted in by_source.items():
            until = min(ends, time.monotonic() + SHARE * left_until(deadline))
            try:
                words = await ask(sources[name], _words, sources[name], asked, wanted, until)
            except Exception as problem:  # noqa: BLE001 - a list without reasons is better than no list
                log.warning("no reasons", source=name, problem=repr(problem))
                continue
            for (b, item), said in zip(wanted, words, strict=False):
                if said:
                    reasons[b][item] = said
    return reasons
