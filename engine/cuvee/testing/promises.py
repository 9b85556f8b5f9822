"""Whether answers keep their promises of form: each check raises an AssertionError in the author's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from cuvee.recommender import Bools, Floats, Ints, Queries
from cuvee.testing.trial import Questions

__all__ = ["alike", "arrays_of", "check_candidates", "check_scores", "promise", "proposed_to", "where"]


def promise(kept: object, broken: str) -> None:
    """Fail with what was broken, unless it was kept."""
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


def where(asked: Questions, rows: Bools) -> str:
    """The kinds of the marked rows, in words."""
    return "; ".join(label for label, marked in zip(asked.labels, rows, strict=True) if marked)


def check_scores(scores: Any, items: Ints) -> None:
    """``scores`` must be float32 of the shape of ``items``."""
    __tracebackhide__ = True
    promise(isinstance(scores, np.ndarray), f"score must return an array, not {type(scores).__name__}")
    promise(scores.dtype == np.float32, f"score must return float32, not {scores.dtype}")
    promise(scores.shape == items.shape, f"score must return the shape of items, {items.shape}, not {scores.shape}")


def check_candidates(proposed: Any, queries: Queries, k: int) -> None:
    """``proposed`` must be Candidates: distinct items, best first, finite, at most k, padded at the end."""
    __tracebackhide__ = True
    for name, kind in (("items", np.int32), ("scores", np.float32)):
        array = getattr(proposed, name, None)
        promise(isinstance(array, np.ndarray), "candidates must return cuvee.Candidates")
        promise(array.dtype == kind, f"Candidates.{name} must be {kind.__name__}, not {array.dtype}")  # type: ignore[union-attr]
    items, scores = proposed.items, proposed.scores
    promise(items.shape == scores.shape, f"Candidates.items is {items.shape}, .scores {scores.shape}: must be equal")
    promise(items.ndim == 2 and len(items) == len(queries), f"Candidates must have a row per query, not {items.shape}")
    promise(items.shape[1] <= k, f"candidates must propose at most k = {k} items, not {items.shape[1]}")
    pad = items == -1
    promise((items >= -1).all(), "candidates must be positions of items, or -1 to pad")
    promise((pad[:, :-1] <= pad[:, 1:]).all(), "the -1 of candidates must stand at the end of their row")
    promise(np.isnan(scores[pad]).all(), "the scores of candidates must be NaN where items is -1")
    promise(np.isfinite(scores[~pad]).all(), "the scores of candidates must be finite where there is an item")
    low = np.where(pad, -np.inf, scores)
    promise((low[:, :-1] >= low[:, 1:]).all(), "candidates must stand best first: their scores must never rise")
    for row in items:
        found = row[row >= 0]
        promise(len(np.unique(found)) == len(found), "candidates must be distinct: an item stands in a row twice")


def proposed_to(proposed: Any, b: int) -> Floats:
    """float32[1, n]: the scores of what was proposed to row b, without its pads."""
    scores: Floats = proposed.scores[b][proposed.items[b] >= 0]
    return scores[None]


def arrays_of(queries: Queries) -> Iterator[npt.NDArray[Any]]:
    """Every array of the queries."""
    kept, out = queries.histories, queries.excluded
    yield from (queries.users, kept.offsets, kept.items, kept.weights, kept.times, out.offsets, out.items)
    if queries.eligible is not None:
        yield queries.eligible
