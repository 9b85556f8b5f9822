"""Checks of the form of answers: each raises an AssertionError in the terms of a plugin's author."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cuvee.recommender import Candidates, Floats, Ints, Queries

__all__ = [
    "alike",
    "arrays_of",
    "check_candidates",
    "check_proposed",
    "check_scores",
    "promise",
    "proposed_to",
    "where",
]


def promise(kept: object, broken: str) -> None:
    """Raise AssertionError with the broken promise, unless it was kept."""
    __tracebackhide__ = True
    if not kept:
        raise AssertionError(broken)


def alike(one: Floats, two: Floats, rounding: float) -> bool:
    """Whether two answers are equal up to rounding (relative to the largest), with NaN in the same places."""
    if one.shape != two.shape or not np.array_equal(np.isnan(one), np.isnan(two)):
        return False
    finite = np.isfinite(one)
    scale = float(np.abs(one[finite]).max()) if finite.any() else 0.0
    return bool(np.allclose(one, two, rtol=rounding, atol=rounding * scale, equal_nan=True))


def where(labels: Sequence[str], rows: npt.ArrayLike) -> str:
    """The labels of the marked rows."""
    return "; ".join(label for label, marked in zip(labels, np.atleast_1d(rows), strict=True) if marked)


def check_scores(scores: Any, items: Ints) -> None:
    """``scores`` must be an array of the shape of ``items``."""
    __tracebackhide__ = True
    promise(isinstance(scores, np.ndarray), f"score must return an array, not {type(scores).__name__}")
    promise(scores.shape == items.shape, f"score must return the shape of items, {items.shape}, not {scores.shape}")


def check_proposed(proposed: Any, b: int) -> None:
    """``proposed`` must be Candidates for b queries."""
    __tracebackhide__ = True
    promise(isinstance(proposed, Candidates), f"candidates must return cuvee.Candidates, not {type(proposed).__name__}")
    for name in ("items", "scores"):
        array = getattr(proposed, name)
        promise(isinstance(array, np.ndarray) and array.ndim == 2, f"Candidates.{name} must be an array [B, k]")
        promise(len(array) == b, f"Candidates.{name} must have a row for each of {b} queries, not {len(array)}")
    shapes = proposed.items.shape, proposed.scores.shape
    promise(shapes[0] == shapes[1], f"Candidates.items is {shapes[0]}, but .scores is {shapes[1]}")


def check_candidates(proposed: Candidates, k: int, n: int) -> None:
    """``proposed`` must be distinct items out of n, best first, finite, at most k, padded at the end."""
    __tracebackhide__ = True
    items, scores = proposed.items, proposed.scores
    promise(items.dtype == np.int32, f"Candidates.items must be int32, not {items.dtype}")
    promise(scores.dtype == np.float32, f"Candidates.scores must be float32, not {scores.dtype}")
    promise(items.shape[1] <= k, f"candidates must propose at most k = {k} items, not {items.shape[1]}")
    pad = items == -1
    promise(((items >= -1) & (items < n)).all(), "candidates must be positions in the catalogue, or -1 to pad")
    promise((pad[:, :-1] <= pad[:, 1:]).all(), "the -1 of candidates must stand at the end of their row")
    promise(np.isnan(scores[pad]).all(), "the scores of candidates must be NaN where items is -1")
    promise(np.isfinite(scores[~pad]).all(), "the scores of candidates must be finite where there is an item")
    low = np.where(pad, -np.inf, scores)
    promise((low[:, :-1] >= low[:, 1:]).all(), "candidates must stand best first: their scores must never rise")
    for row in items:
        found = row[row >= 0]
        promise(len(np.unique(found)) == len(found), "candidates must be distinct: a row has an item twice")


def proposed_to(proposed: Candidates, b: int) -> Floats:
    """float32[1, n]: the scores of row b's proposed items, without padding."""
    scores: Floats = proposed.scores[b][proposed.items[b] >= 0]
    return scores[None]


def arrays_of(queries: Queries) -> Iterator[npt.NDArray[Any]]:
    """Every array of the queries."""
    kept, out = queries.histories, queries.excluded
    yield from (queries.users, kept.offsets, kept.items, kept.weights, kept.times, out.offsets, out.items)
    if queries.eligible is not None:
        yield queries.eligible
