"""Similarity of two sets, and pruning to the largest: shared by item-kNN and user-kNN."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import kernels
from scipy import sparse

__all__ = ["compare", "keep_top", "narrow"]

Floats: TypeAlias = npt.NDArray[np.float32]


def compare(common: Floats, left: Floats, right: Floats, similarity: str, shrink: float) -> Floats:
    """Similarities of sets (or non-negative vectors) from their inner products.

    Args:
        common: float32 of any shape, inner products: for sets, how many members they share.
        left: float32 that broadcasts to it, squared lengths: for sets, their sizes.
        right: likewise.
        similarity: ``cosine``, or ``jaccard`` (for vectors in Tanimoto's form).
        shrink: added to the denominator (as in Bell and Koren 2007), so that two sets that share one
            member by chance are less similar than two that share a hundred.

    Returns:
        float32 of the shape of ``common``, in [0, 1]; 0 where nothing is shared.
    """
    whole = np.sqrt(left) * np.sqrt(right) if similarity == "cosine" else left + right - common
    whole += np.float32(shrink)
    alike = np.zeros_like(common)
    np.divide(common, whole, out=alike, where=common > 0)
    return alike


def keep_top(rows: Floats, k: int) -> sparse.csr_array[Any, tuple[int, int]]:
    """The k largest positive entries of each row of float32[a, b], by column; of equal ones the first columns."""
    columns, values = kernels.top(rows, k, above=0)
    outside = np.int32(rows.shape[1])
    order = np.argsort(np.where(columns < 0, outside, columns), axis=1)
    columns, values = np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)
    kept = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    return sparse.csr_array((values[kept], columns[kept], indptr), shape=rows.shape)


def narrow(matrix: sparse.csr_array[Any, tuple[int, int]]) -> sparse.csr_array[Any, tuple[int, int]]:
    """The same matrix with int32 indices where these are large enough.

    A product of matrices with different index types copies the indices of one of them, every time.
    """
    if matrix.nnz > np.iinfo(np.int32).max:
        return matrix
    parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
    return sparse.csr_array(parts, shape=matrix.shape)
