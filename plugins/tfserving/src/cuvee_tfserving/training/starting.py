"""Initial item embeddings: a factorisation of which items occur close together in histories.

Positive pointwise mutual information of items up to a few events apart, factorised by a truncated
SVD, which is what skip-gram embeddings approximate (Levy and Goldberg, NeurIPS 2014). A few seconds
here replace the first epochs of gradient steps.
"""

from __future__ import annotations

import numpy as np
from cuvee import Histories
from cuvee.recommender import Floats
from scipy import sparse
from scipy.sparse.linalg import svds

__all__ = ["cooccurrence_vectors"]


def cooccurrence_vectors(events: Histories, n_items: int, dimensions: int, reach: int = 5, seed: int = 0) -> Floats:
    """float32[N, dimensions]: vectors of mean square 1; items without neighbours have zeros.

    ``reach`` is how many events apart two items still count as neighbours, by the inverse of the
    distance.
    """
    rows, items = events.rows, events.items.astype(np.int64)
    pairs = sparse.csr_array((n_items, n_items), dtype=np.float64)
    for apart in range(1, reach + 1):
        same = rows[apart:] == rows[:-apart]
        near, far = items[:-apart][same], items[apart:][same]
        pairs = pairs + sparse.coo_array((np.full(len(near), 1 / apart), (near, far)), shape=pairs.shape).tocsr()
    near_by = (pairs + pairs.T).tocoo()
    left, right = near_by.row, near_by.col
    often = np.bincount(left, weights=near_by.data, minlength=n_items)
    total = often.sum()
    # the 3/4 power keeps rare items from having the highest information of all (Levy et al., TACL 2015)
    smooth = often**0.75
    smooth *= total / max(smooth.sum(), 1e-12)
    known = np.log(np.maximum(near_by.data * total / (often[left] * smooth[right]), 1e-12))
    positive = sparse.csr_array((np.maximum(known, 0), (left, right)), shape=near_by.shape)
    rank = min(dimensions, n_items - 2)
    vectors = np.zeros((n_items, dimensions), np.float32)
    if rank < 1 or positive.count_nonzero() == 0:
        return vectors
    start = np.random.default_rng(seed).normal(size=n_items)
    u, s, _ = svds(positive, k=rank, v0=start)
    # the sign of a singular vector is arbitrary: its largest entry is made positive
    u *= np.sign(u[np.abs(u).argmax(axis=0), np.arange(rank)])
    vectors[:, :rank] = u[:, ::-1] * np.sqrt(s[::-1])
    return vectors / max(float(np.sqrt((vectors**2).mean())), 1e-12)
