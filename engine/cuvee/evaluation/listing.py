"""Lists for a round of queries, made by the pipeline that also serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.ranking.ask import Directly
from cuvee.ranking.pipeline import make_lists, score_listed
from cuvee.ranking.plan import Plan, Question
from cuvee.recommender import Bools, Ints, Progress

__all__ = ["Lists", "list_all"]


@dataclass(frozen=True)
class Lists:
    """B lists of up to K items."""

    items: Ints
    """int32[B, K], best first, padded with -1."""
    filled: Bools
    """bool[B, K]: whether the item came from the fallback chain."""


def list_all(plan: Plan, questions: Sequence[Question], k: int, told: Progress) -> Lists:
    """Answer batches of queries, and keep the first k of each list.

    Raises whatever a source raises: offline, a failure must not be hidden by a degraded answer.
    """
    items, filled = [], []
    with Directly() as ask:
        for done, question in enumerate(questions, start=1):
            make = make_lists if question.listed is None else score_listed
            answer = make(plan, question, ask)
            failed = next((r.failure for r in answer.reports if r.failure), None)
            if failed is not None:
                raise failed
            found = answer.items()[:, :k]
            room = ((0, 0), (0, k - found.shape[1]))
            items.append(np.pad(found, room, constant_values=-1))
            from_chain = answer.places()[:, :k] >= answer.blended.items.shape[1]
            filled.append(np.pad(from_chain, room))
            told(done, len(questions))
    return Lists(np.concatenate(items), np.concatenate(filled))
