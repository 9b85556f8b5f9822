"""Fold-in: a user's vector from his history and fixed item vectors, in closed form.

A ridge in the manner of implicit ALS (Hu, Koren and Volinsky 2008): for events h of weight w::

    x = argmin  sum_h w_h (1 - x.q_h)^2  +  BACKGROUND * mean_i (x.q_i)^2  +  ridge |x|^2

The middle term says that the user did *not* choose the average item, which keeps x from pointing
towards the mean of all items. Only the direction of x is used: ranking losses give vectors no fixed
length, so x is scaled to the length of an average fitted user, at which dot products and biases have
the learnt proportion. (At the length that the ridge gives, half of the hits on MovieLens were lost.)
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import kernels

__all__ = ["fold_in", "stretch", "unseen"]

Floats: TypeAlias = npt.NDArray[np.float32]

BACKGROUND = 30.0
"""Weight of the average items against the history. On MovieLens any value from 10 to 100 is equally good."""
RIDGE = 3.0
"""The ridge, in units of the background's mean eigenvalue: small catalogues may have fewer items
than dimensions."""


def unseen(vectors: Floats) -> Floats:
    """float32[d, d]: the part of the normal equations that is the same for all users.

    ``vectors`` is float32[n, d], the items of the fit.
    """
    d = vectors.shape[1]
    spread = vectors.T @ vectors / max(len(vectors), 1)
    ridge = RIDGE * np.trace(spread) / d + 1e-6
    matrix: Floats = (BACKGROUND * (spread + ridge * np.eye(d))).astype(np.float32)
    return matrix


def fold_in(vectors: Floats, weights: Floats, offsets: npt.NDArray[np.int64], background: Floats) -> Floats:
    """Solve for a batch of users.

    Args:
        vectors: float32[H, d], the vectors of the users' items, one user's behind the other's.
        weights: float32[H], above 0.
        offsets: int64[B + 1], where each user's begin; a user may have none.
        background: of :func:`unseen`.

    Returns:
        float32[B, d]; 0 for a user without items. Only the direction is meaningful.
    """
    return kernels.ridge(np.ascontiguousarray(vectors), weights, offsets, background)


def stretch(vectors: Floats, length: float) -> Floats:
    """float32[n, d]: the same directions, all of one length; 0 stays 0."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    out = np.zeros_like(vectors)
    np.divide(vectors * np.float32(length), norms, out=out, where=norms > 0)
    return out
