"""EASE: the linear autoencoder that reproduces each history from its other items, in closed form.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data": with G = X'X + l2 I and
P = inv(G), the item-item weights are B = I - P / diag(P), column by column, with zero diagonal.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

__all__ = ["fit_ease"]

Floats: TypeAlias = npt.NDArray[np.float32]

WELL_CONDITIONED = 1e4
"""The largest condition number whose float32 inverse still has three good digits."""


def fit_ease(liked: sparse.csr_array[Any, tuple[int, int]], l2: float) -> Floats:
    """The weights that predict one liked item from the others.

    Solved in float32 where that is exact enough, else in float64 (twice the memory and time).

    Args:
        liked: float32[U, N], 1 where a user likes an item.
        l2: the ridge, in events.

    Returns:
        float32[N, N], C order: row i says how much item i speaks for each item. Rows and columns
        of items that nobody likes are 0.
    """
    gram = (liked.T @ liked).toarray()
    # by Gershgorin no eigenvalue exceeds the largest sum of a row, and none is below l2
    bound = float(gram.sum(axis=1, dtype=np.float64).max(initial=0.0)) + l2
    gram = np.asfortranarray(gram, dtype=np.float32 if bound / l2 < WELL_CONDITIONED else np.float64)
    np.fill_diagonal(gram, gram.diagonal() + l2)
    return _weights(_inverse(gram))


def _inverse(gram: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The inverse of a symmetric positive definite matrix, in its own memory (Cholesky)."""
    if not len(gram):
        return gram
    double = gram.dtype == np.float64
    factor, failed = (lapack.dpotrf if double else lapack.spotrf)(gram, lower=True, overwrite_a=True)
    if failed:
        raise ValueError("EASE cannot be solved for this l2; raise it")
    lower, failed = (lapack.dpotri if double else lapack.spotri)(factor, lower=True, overwrite_c=True)
    if failed:
        raise ValueError("EASE cannot be solved for this l2; raise it")
    above = np.triu_indices(len(lower), 1)
    lower[above] = lower.T[above]
    return np.asarray(lower)


def _weights(inverse: npt.NDArray[Any]) -> Floats:
    weights: Floats = np.array(inverse / -inverse.diagonal()[None, :], np.float32, order="C")
    np.fill_diagonal(weights, 0)
    weights += np.float32(0)  # no negative zeros
    return weights
