"""Rows of one kind as one question of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cuvee.ranking.plan import Question
from cuvee.ranking.rows import padded
from cuvee.recommender import Histories, Queries, Ragged
from cuvee.rules import Seen
from cuvee.serving.lists.drafts import Row
from cuvee.serving.lists.histories import seen_of

__all__ = ["assemble"]


def assemble(rows: Sequence[Row]) -> Question:
    """Rows of one kind as one question, asked now; recommenders get the product's newest events alone."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(r.events.items) for r in rows], out=offsets[1:])
    events = Histories(
        offsets,
        np.concatenate([r.events.items for r in rows]),
        np.concatenate([r.events.weights for r in rows]),
        np.concatenate([r.events.times for r in rows]),
    )
    first = rows[0]
    plan = first.served.snapshot.plan
    queries = Queries.build(
        events.last(first.served.snapshot.product.history),
        users=[r.user for r in rows],
        profiles=[r.profile for r in rows],
        now=time.time(),
        excluded=Ragged.of([r.excluded for r in rows]),
        eligible=first.eligible,
    )
    listed = None
    if first.listed is not None:
        listed = padded(Ragged.of([r.listed for r in rows if r.listed is not None]))
    typed = any(rule.reads_events for rule in plan.rules) if plan.rules else False
    seen = seen_of([r.events for r in rows], events) if typed else Seen(events.offsets, events.items)
    question = Question(
        queries, seen, first.k, first.segment, listed, first.only_fallback, counts=any(r.counts for r in rows)
    )  # fmt: skip
    return replace(question, shown=np.stack([r.shown for r in rows])) if first.before else question
