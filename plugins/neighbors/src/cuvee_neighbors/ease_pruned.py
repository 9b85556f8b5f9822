"""EASE for catalogues whose N x N matrix does not fit: only weights of pairs that some user likes both of.

EASE's weights are those of F = G (G + l2 I)^-1, with G = X'X: ``W(i, j) = F(i, j) / (1 - F(j, j))``, since
F = I - l2 P. F has G's eigenvectors, and w / (w + l2) in place of its eigenvalues w. That is exact for the r largest;
for the many small ones G's own eigenvalues are used, times one factor::

    F ~ c G - V diag(c w - w / (w + l2)) V'        c = 1 / (w_r + l2)

G is sparse and V thin, so each F(i, j) is a count and a product of r numbers, computed only where G is
not 0, in blocks of rows; of each row the largest weights are kept. The small eigenvalues distinguish
items with few likes: without them (a low rank alone) a tenth of NDCG was lost on MovieLens 1M.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import kernels
from scipy import linalg, sparse

from cuvee_neighbors.pruned import blocks_of, keep_largest, stacked
from cuvee_neighbors.similarity import narrow

__all__ = ["fit_ease_pruned", "largest_directions"]

Floats: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

SPARE = 32
"""Extra directions that improve the accuracy of the kept ones."""
ROUNDS = 6
"""Steps of the subspace iteration."""
WIDER = 2
"""How many times as many entries as are kept are computed, the most similar by cosine."""


def largest_directions(liked: Matrix, rank: int) -> tuple[Floats, Floats]:
    """float32[N, r] and float32[r]: eigenvectors of X'X and its largest eigenvalues, falling.

    By subspace iteration from a fixed start (Halko, Martinsson and Tropp 2011); r is ``rank``, or less for a
    smaller matrix.
    """
    n = liked.shape[1]
    width = min(rank + SPARE, *liked.shape)
    basis: npt.NDArray[Any] = np.random.default_rng(0).standard_normal((n, width), np.float32)
    back = sparse.csr_array(liked.T.tocsr())
    for _ in range(ROUNDS):
        # LU keeps the directions apart as QR does, in a tenth of the time
        basis = linalg.lu(np.asarray(back @ (liked @ basis), np.float32), permute_l=True, check_finite=False)[0]
    basis = np.linalg.qr(basis)[0]
    seen = np.asarray(liked @ basis, np.float32)
    values, turns = np.linalg.eigh((seen.T @ seen).astype(np.float64))
    kept = slice(None, -1 - min(rank, width), -1)
    vectors: Floats = basis @ turns[:, kept].astype(np.float32)
    return vectors, np.maximum(values[kept], 0).astype(np.float32)


def fit_ease_pruned(
    liked: Matrix, l2: float, rank: int, neighbours: int, done: Callable[[int], None] = lambda _: None
) -> Matrix:
    """The weights that predict one liked item from the others, of the pairs that matter.

    Args:
        liked: float32[U, N], 1 where a user likes an item.
        l2: the ridge, in events.
        rank: eigenvalues that are treated exactly.
        neighbours: weights kept of each item of a history, the largest by size.
        done: called with the number of finished items.

    Returns:
        float32[N, N], sparse, zero diagonal: row i has the weights of item i for each item.
    """
    n = liked.shape[1]
    liked = narrow(liked)
    vectors, values = largest_directions(liked, rank)
    slope = np.float32(1 / (float(values.min(initial=np.inf)) + l2)) if len(values) else np.float32(1 / l2)
    strengths = np.sqrt(np.maximum(slope * values - values / (values + np.float32(l2)), 0))
    thin: Floats = np.ascontiguousarray(vectors * strengths)
    by_item = sparse.csr_array(liked.T.tocsr())
    counts = np.diff(by_item.indptr).astype(np.float32)
    left = 1 - (slope * counts - (thin * thin).sum(axis=1))
    rarity = 1 / np.sqrt(np.maximum(counts, 1))
    work = np.asarray(by_item @ np.diff(liked.indptr), np.int64)
    parts = []
    for mine in blocks_of(work):
        common = sparse.csr_array(by_item[mine] @ liked)
        common.data *= rarity[common.indices]
        common.data[np.repeat(np.arange(mine.start, mine.stop), np.diff(common.indptr)) == common.indices] = 0
        common.eliminate_zeros()
        common = keep_largest(common, WIDER * neighbours)
        together = common.data / rarity[common.indices]
        explained = kernels.sampled_products(common, thin[mine], thin)
        common.data = (slope * together - explained) / left[common.indices]
        parts.append(keep_largest(common, neighbours, by_size=True))
        done(mine.stop)
    return stacked(parts, n)
