"""Vectors with a sparse part (words, labels, numbers) and a dense one (embeddings): pure functions.

``F`` is the number of sparse features, ``D`` of dense ones. A zero vector means that nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, hstack, vstack
from sklearn.utils.extmath import randomized_svd

__all__ = ["ROWS", "Vectors", "narrow", "side_by_side", "unit_rows"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]


ROWS = {
    "data": "float32[entries] finite",
    "indices": "int[entries] in width",
    "indptr": "int[n + 1] to entries",
    "dense": "float32[n, thick] finite",
}
"""The arrays of n vectors on disk."""


def narrow(rows: Any) -> csr_array:
    """The same csr matrix with int32 indices, which take half the memory, where its size allows them."""
    if len(rows.data) < 2**31 and max(rows.shape) < 2**31:
        rows.indices, rows.indptr = rows.indices.astype(np.int32, copy=False), rows.indptr.astype(np.int32, copy=False)
    made: csr_array = rows
    return made


def unit_rows(part: Any) -> Any:
    """A csr or dense matrix with rows of length 1; zero rows stay zero."""
    if isinstance(part, csr_array):
        rows = part
        lengths = _lengths(rows)
        scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return csr_array(
            (rows.data * np.repeat(scale, np.diff(rows.indptr)), rows.indices, rows.indptr), shape=rows.shape
        )
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    return part * np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def _lengths(rows: csr_array) -> Floats:
    of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    lengths: Floats = np.sqrt(np.bincount(of, rows.data.astype(np.float64) ** 2, rows.shape[0])).astype(np.float32)
    return lengths


@dataclass(frozen=True)
class Vectors:
    """n vectors, one per row."""

    sparse: csr_array
    """float32[n, F], indices sorted."""
    dense: Floats
    """float32[n, D]."""

    def __len__(self) -> int:
        return int(self.dense.shape[0])

    @property
    def lengths(self) -> Floats:
        """float32[n]: Euclidean."""
        lengths: Floats = np.hypot(_lengths(self.sparse), np.linalg.norm(self.dense, axis=1)).astype(np.float32)
        return lengths

    def at(self, items: Ints) -> Vectors:
        """The rows int[m], in that order; for few rows, where scipy's own checks would take most of the time."""
        starts = self.sparse.indptr[items]
        lengths = self.sparse.indptr[np.asarray(items) + 1] - starts
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        rows = csr_array(
            (self.sparse.data[entries], self.sparse.indices[entries], indptr), shape=(len(items), self.sparse.shape[1])
        )
        return Vectors(rows, self.dense[items])

    def append(self, others: Vectors) -> Vectors:
        """These, then the others; the very same arrays where there are none."""
        if len(others) == 0:
            return self
        rows: Any = vstack([self.sparse, others.sparse], format="csr")
        return Vectors(narrow(rows), np.concatenate([self.dense, others.dense]))

    def mean(self, weights: csr_array) -> tuple[Floats, Floats]:
        """float32[B, F] and float32[B, D]: sums of the vectors, weighted by float32[B, n]."""
        return (weights @ self.sparse).toarray(), np.asarray(weights @ self.dense, np.float32)

    def thinned(self, dims: int) -> Floats:
        """float32[n, d]: dense vectors with almost the same inner products, the sparse part in ``dims`` dimensions.

        Uses a truncated singular value decomposition, the best approximation of that rank.
        """
        thin = self.sparse
        if min(thin.shape) > dims:
            left, sizes, _ = randomized_svd(thin, n_components=dims, random_state=0)
            return np.concatenate([(left * sizes).astype(np.float32), self.dense], axis=1)
        return np.concatenate([thin.toarray(), self.dense], axis=1)

    def products(self, others: tuple[Floats, Floats]) -> Floats:
        """float32[B, n]: inner products of every vector with each of B others, given in two parts."""
        whole = np.ascontiguousarray((self.sparse @ np.ascontiguousarray(others[0].T)).T)
        if self.dense.shape[1]:
            whole += others[1] @ self.dense.T
        return whole

    def products_at(self, others: tuple[Floats, Floats], at: Ints) -> Floats:
        """float32[B, M]: inner products of the vectors int[B, M] with the query vector of their row.

        Each one is summed by itself, so that it does not depend on its neighbours, in float64.
        """
        flat = at.ravel()
        picked = self.sparse[flat]
        entry = np.repeat(np.arange(len(flat)), np.diff(picked.indptr))
        terms = picked.data * others[0][entry // max(at.shape[1], 1), picked.indices]
        # bincount of an empty array gives integers
        whole = np.bincount(entry, terms, len(flat)).astype(np.float64, copy=False).reshape(at.shape)
        if self.dense.shape[1]:
            whole += np.einsum("bmd,bd->bm", self.dense[at], others[1])
        return whole.astype(np.float32)


def side_by_side(parts: Sequence[tuple[float, Any]], n: int) -> Vectors:
    """Join (weight, n rows) per column into n vectors.

    A part is scaled so that an inner product of the whole is the weighted mean of the parts'
    cosines. A missing part (a zero row) counts as cosine 0. If the others were scaled up instead,
    items of which less is known would come first.
    """
    total = sum(weight for weight, _ in parts)
    scaled = [unit_rows(part) * np.float32((weight / total) ** 0.5) for weight, part in parts]
    thin = [part.astype(np.float32) for part in scaled if isinstance(part, csr_array)]
    thick = [np.asarray(part, np.float32) for part in scaled if not isinstance(part, csr_array)]
    rows: Any = hstack(thin, format="csr") if thin else csr_array((n, 0), dtype=np.float32)
    rows.sort_indices()
    return Vectors(narrow(rows), np.concatenate(thick, axis=1) if thick else np.empty((n, 0), np.float32))
