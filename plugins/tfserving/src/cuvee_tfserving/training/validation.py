"""How well a network ranks the next item among all: numpy over batches of users."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from cuvee import Histories
from cuvee.recommender import Floats, Ints

from cuvee_tfserving.training.sequences import age_rows, token_rows

__all__ = ["Ranks", "hit_rate", "ndcg", "rank_answers"]

Ranks = npt.NDArray[np.int64]


def rank_answers(
    score_all: Callable[[Ints, Floats], Floats], histories: Histories, answers: Ints, length: int, batch: int = 256
) -> Ranks:
    """int64[B], from 0: the place of each row's answer among all items but those of its history.

    ``score_all`` takes int32[batch, length] of tokens and float32[batch, length] of their ages, and gives
    float32[batch, N]. Equal scores are ordered by position, as a stable sort does.
    """
    ranks = np.zeros(len(histories), np.int64)
    for first in range(0, len(histories), batch):
        rows = np.arange(first, min(first + batch, len(histories)))
        part, wanted = histories.select(rows), answers[rows]
        tokens = np.zeros((batch, length), np.int32)
        tokens[: len(rows)] = token_rows(part, length)
        ages = np.zeros((batch, length), np.float32)
        ages[: len(rows)] = age_rows(part, length)
        scores = np.array(score_all(tokens, ages)[: len(rows)])
        own = scores[np.arange(len(rows)), wanted]
        scores[part.rows, part.items] = -np.inf
        before = np.arange(scores.shape[1]) < wanted[:, None]
        ranks[rows] = (scores > own[:, None]).sum(axis=1) + ((scores == own[:, None]) & before).sum(axis=1)
    return ranks


def hit_rate(ranks: Ranks, k: int = 10) -> float:
    """HR@k of one answer for each row."""
    return float((ranks < k).mean()) if len(ranks) else 0.0


def ndcg(ranks: Ranks, k: int = 10) -> float:
    """NDCG@k of one answer for each row."""
    return float(np.where(ranks < k, 1 / np.log2(ranks + 2), 0).mean()) if len(ranks) else 0.0
