"""Scores of large catalogues, where few items have one: they stay sparse from the model to the list."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Queries
from scipy import sparse

__all__ = ["best", "looked_up"]

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"


def best(scores: Matrix, k: int, queries: Queries, known: Bools) -> Candidates:
    """The k best items of sparse float32[B, N] that are above 0, known (bool[N]) and not excluded.

    Best first, of equal scores the lower position, as :meth:`cuvee.Candidates.top` has it.
    """
    answer = Candidates.empty(len(queries), min(k, scores.shape[1]))
    for b, (start, stop) in enumerate(zip(scores.indptr[:-1].tolist(), scores.indptr[1:].tolist(), strict=True)):
        items, values = scores.indices[start:stop], scores.data[start:stop]
        kept = (values > 0) & known[items]
        if queries.eligible is not None:
            kept &= queries.eligible[items]
        if len(excluded := queries.excluded.row(b)):
            kept &= ~np.isin(items, excluded)
        items, values = items[kept], values[kept]
        if len(values) > k:
            # keep all that equal the last one; the lexsort takes the first of these
            kept = values >= np.partition(values, len(values) - k)[len(values) - k]
            items, values = items[kept], values[kept]
        order = np.lexsort((items, -values))[:k]
        answer.items[b, : len(order)], answer.scores[b, : len(order)] = items[order], values[order]
    return answer


def looked_up(scores: Matrix, items: Ints) -> Floats:
    """float32[B, M]: the scores of valid items, int[B, M], in sparse float32[B, N]."""
    scores.sort_indices()
    out = np.zeros(items.shape, np.float32)
    for b, (start, stop) in enumerate(zip(scores.indptr[:-1].tolist(), scores.indptr[1:].tolist(), strict=True)):
        there, values = scores.indices[start:stop], scores.data[start:stop]
        if not len(there):
            continue
        at = np.minimum(np.searchsorted(there, items[b]), len(there) - 1)
        out[b] = np.where(there[at] == items[b], values[at], np.float32(0))
    return out
