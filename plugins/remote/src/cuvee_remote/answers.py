"""What may come back: answers are checked here before anything is done with them."""

from __future__ import annotations

import numpy as np
from cuvee.recommender import Candidates, Floats, Ints
from cuvee.v1 import recommender_pb2 as pb

from cuvee_remote.failures import invalid
from cuvee_remote.wire import Malformed, numbers_of

__all__ = ["candidates_of", "reasons_of", "scores_of"]


def candidates_of(answer: pb.CandidatesResponse, b: int, k: int, n_items: int) -> Candidates:
    """The candidates for b queries, up to k each, out of a catalogue of n.

    Raises:
        SourceFailure: INVALID_OUTPUT, if they are not what recommender.proto promises.
    """
    try:
        items: Ints = numbers_of(answer.items, np.int32, b, None, name="items")
        scores: Floats = numbers_of(answer.scores, np.float32, *items.shape, name="scores")
    except Malformed as problem:
        raise invalid(f"the remote recommender's candidates: {problem}") from problem
    if items.shape[1] > k:
        raise invalid(f"the remote recommender proposed {items.shape[1]} items where {k} were asked for")
    if items.size and not (items.min() >= -1 and items.max() < n_items):
        raise invalid(f"the remote recommender proposed an item outside the catalogue of {n_items}")
    none = items < 0
    if not np.isfinite(scores[~none]).all():
        raise invalid("the remote recommender proposed an item with a score that is NaN or infinite")
    low = np.where(none, -np.inf, scores)
    if (none[:, :-1] > none[:, 1:]).any() or (low[:, :-1] < low[:, 1:]).any():
        raise invalid("the remote recommender proposed items that do not stand best first")
    return Candidates(items, np.where(none, np.float32(np.nan), scores) if none.any() else scores)


def scores_of(answer: pb.ScoreResponse, items: Ints) -> Floats:
    """float32[B, M]: the scores of int32[B, M] items.

    Raises:
        SourceFailure: INVALID_OUTPUT, if they are not what recommender.proto promises.
    """
    try:
        scores: Floats = numbers_of(answer.scores, np.float32, *items.shape, name="scores")
    except Malformed as problem:
        raise invalid(f"the remote recommender's answer: {problem}") from problem
    if np.isinf(scores).any():
        raise invalid("the remote recommender gave an infinite score")
    none = items < 0
    return np.where(none, np.float32(np.nan), scores) if none.any() else scores


def reasons_of(answer: pb.ExplainResponse, n: int) -> list[str | None]:
    """Reasons for n items, None where there is none.

    Raises:
        SourceFailure: INVALID_OUTPUT, if there are more or fewer.
    """
    if len(answer.reasons) != n:
        raise invalid(f"the remote recommender gave {len(answer.reasons)} reasons for {n} items")
    return [reason or None for reason in answer.reasons]
