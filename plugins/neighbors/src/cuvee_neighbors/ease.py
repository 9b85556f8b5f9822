"""EASE: the linear autoencoder that reproduces each history from its other items, in closed form.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data": with G = X'X + l2 I and
P = inv(G), the item-item weights are B = I - P / diag(P), column by column, with zero diagonal.

X'X counts how many people like both of two items. ``nearby`` counts pairs less that were liked far
from each other: items chosen in one session say more about each other. Each user adds
x x' * K with K(i, j) = near / (near + distance), a positive definite kernel (a mixture of
exponential ones), so that G stays one that EASE can be solved for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee.recommender import Histories
from scipy import sparse
from scipy.linalg import lapack

__all__ = ["fit_ease", "nearby", "together"]

Floats: TypeAlias = npt.NDArray[np.float32]

WELL_CONDITIONED = 1e4
"""The largest condition number at which the float32 inverse still has three correct digits."""


def together(liked: sparse.csr_array[Any, tuple[int, int]]) -> Floats:
    """float32[N, N]: how many users like both of two items, of float32[U, N], 1 where a user likes an item."""
    return np.asarray((liked.T @ liked).toarray(), np.float32)


def nearby(events: Histories, n_items: int, near: float) -> Floats:
    """float32[N, N]: the same, where a pair liked ``near`` events apart counts half, and one far apart close to 0.

    A repeated item is placed at its last event.
    """
    # places begin at 1, since weight 0 would mean no like
    places = np.arange(len(events.items)) - events.offsets[events.rows] + 1
    liked = replace(events, weights=np.where(events.weights > 0, places, 0).astype(np.float32)).matrix(n_items)
    pairs = np.zeros((n_items, n_items), np.float32)
    for start, stop in zip(liked.indptr, liked.indptr[1:], strict=False):
        items, at = liked.indices[start:stop], liked.data[start:stop]
        pairs[np.ix_(items, items)] += near / (near + np.abs(at[:, None] - at[None, :]))
    return pairs


def fit_ease(pairs: Floats, l2: float) -> Floats:
    """The weights that predict one liked item from the others.

    Solved in float32 where that is exact enough, else in float64 (twice the memory and time).

    Args:
        pairs: float32[N, N], what :func:`together` or :func:`nearby` counts; symmetric. Its memory is
            used for the solution.
        l2: the ridge, in events.

    Returns:
        float32[N, N], C order: row i has the weights of item i for each item. Rows and columns
        of items that nobody likes are 0.
    """
    # by Gershgorin no eigenvalue exceeds the largest sum of a row, and none is below l2
    bound = float(pairs.sum(axis=1, dtype=np.float64).max(initial=0.0)) + l2
    # the same matrix in Fortran's order, since it is symmetric
    gram: npt.NDArray[Any] = np.asfortranarray(pairs.T, np.float32 if bound / l2 < WELL_CONDITIONED else np.float64)
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
    lower += np.tril(lower, -1).T  # above the diagonal potrf leaves zeros
    return np.asarray(lower)


def _weights(inverse: npt.NDArray[Any]) -> Floats:
    weights: Floats = np.array(inverse / -inverse.diagonal()[None, :], np.float32, order="C")
    np.fill_diagonal(weights, 0)
    weights += np.float32(0)  # no negative zeros
    return weights
