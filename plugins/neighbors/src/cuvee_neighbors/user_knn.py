"""User-based neighbours: the items liked by users with similar likes.

Resnick et al. 1994, "GroupLens: an open architecture for collaborative filtering of netnews", on
implicit likes. The model is the users' likes themselves, and neighbours are found by the current
history, so that unknown users are served, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import kernels, load_arrays, save_arrays
from scipy import sparse

from cuvee_neighbors.item_weights import LARGE
from cuvee_neighbors.pruned import keep_largest
from cuvee_neighbors.similarity import compare, keep_top

__all__ = ["UserNeighbours", "ones_of"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

CELLS = 4_000_000
"""Similarities computed at a time (16 MB)."""


def ones_of(matrix: Matrix) -> Matrix:
    """1 wherever a sparse matrix has an entry."""
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


@dataclass(frozen=True)
class UserNeighbours:
    """The likes of all users, by user and by item."""

    liked: Matrix
    """float32[U, N], above 0 where a user likes an item: the weight of his like."""
    liked_by: Matrix
    """float32[N, U], 1 where an item is liked by a user; similarity ignores the weights."""
    neighbours: int
    """How many neighbours are used."""
    similarity: str
    """``cosine`` or ``jaccard``."""
    shrink: float
    """See :func:`cuvee_neighbors.similarity.compare`."""

    @classmethod
    def fit(cls, liked: Matrix, neighbours: int, similarity: str, shrink: float) -> Self:
        """Keep the likes, float32[U, N], each with its weight."""
        return cls(liked, ones_of(sparse.csr_array(liked.T.tocsr())), neighbours, similarity, shrink)

    @property
    def n_items(self) -> int:
        """N."""
        return int(self.liked.shape[1])

    @cached_property
    def _sizes(self) -> Floats:
        return np.diff(self.liked.indptr).astype(np.float32)

    def nearest(self, history: Matrix, users: Ints) -> Matrix:
        """float32[B, U], sparse: similarities to the nearest users, normalised to add up to 1 in each row.

        ``history`` is float32[B, N]; ``users``, int[B], are its users: nobody is his own
        neighbour.
        """
        lengths = np.asarray(history.multiply(history).sum(axis=1), np.float32).ravel()
        if self.liked_by.shape[1] > LARGE:
            return self._nearest_of_many(sparse.csr_array(history @ self.liked_by), lengths, users)
        common = kernels.products(history, self.liked_by)
        own = np.flatnonzero((users >= 0) & (users < common.shape[1]))
        common[own, users[own]] = 0
        near = keep_top(compare(common, lengths[:, None], self._sizes, self.similarity, self.shrink), self.neighbours)
        totals = np.asarray(near.sum(axis=1), np.float32).ravel()
        near.data /= np.repeat(totals, np.diff(near.indptr))
        return near

    def _nearest_of_many(self, common: Matrix, lengths: Floats, users: Ints) -> Matrix:
        """The same of sparse inner products, float32[B, U]."""
        row = np.repeat(np.arange(len(users)), np.diff(common.indptr))
        alike = compare(common.data, lengths[row], self._sizes[common.indices], self.similarity, self.shrink)
        alike[common.indices == users[row]] = 0
        common.data = alike
        common.eliminate_zeros()
        near = keep_largest(common, self.neighbours)
        totals = np.bincount(np.repeat(np.arange(len(users)), np.diff(near.indptr)), near.data, len(users))
        near.data /= np.repeat(totals, np.diff(near.indptr)).astype(np.float32)
        return near

    def scores(self, history: Matrix, users: Ints) -> Floats:
        """float32[B, N]: for each item the neighbours' weights of it, averaged by similarity."""
        block = max(1, CELLS // max(self.liked.shape[0], 1))
        parts = [
            kernels.products(self.nearest(history[at : at + block], users[at : at + block]), self.liked)
            for at in range(0, len(users), block)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.n_items), np.float32)

    def sparse_scores(self, history: Matrix, users: Ints) -> Matrix | None:
        """The same, sparse, where the catalogue is large; None where not."""
        return sparse.csr_array(self.nearest(history, users) @ self.liked) if self.n_items > LARGE else None

    def strongest(self, history: Matrix, users: Ints, rows: Ints, items: Ints) -> Ints:
        """int64[P]: for pairs of a row and an item, the history item that most users of the item like, too.

        -1 where there is none.
        """
        best = np.full(len(items), -1)
        for b in np.unique(rows).tolist():
            pairs = np.flatnonzero(rows == b)
            one = sparse.csr_array(history[[b]])
            near = self.nearest(one, users[[b]])
            # there are few neighbours, so only their rows of the likes are used
            theirs = self.liked[near.indices]
            fans = sparse.csr_array(theirs[:, items[pairs]].multiply(near.data[:, None])).T.tocsr()
            shared = np.asarray((fans @ theirs[:, one.indices]).toarray() * one.data, np.float32)
            best[pairs] = np.where(shared.max(axis=1) > 0, one.indices[shared.argmax(axis=1)], -1)
        return best

    def save(self, directory: Path, name: str) -> None:
        """Write the likes, by user and by item."""
        parts = {
            f"{name}.{way}.{part}": getattr(matrix, part)
            for way, matrix in (("liked", self.liked), ("liked_by", self.liked_by))
            for part in ("indices", "indptr")
        }
        save_arrays(directory, {**parts, f"{name}.liked.data": self.liked.data})

    @classmethod
    def load(cls, directory: Path, name: str, neighbours: int, similarity: str, shrink: float) -> Self:
        """Map what :meth:`save` wrote under this name."""
        wanted = {
            "liked.data": "float32[likes] finite",
            "liked.indices": "int[likes] in items",
            "liked.indptr": "int[users + 1] to likes",
            "liked_by.indices": "int[likers] in users",
            "liked_by.indptr": "int[items + 1] to likers",
        }
        arrays = load_arrays(directory, {f"{name}.{part}": said for part, said in wanted.items()})
        weights, items, by_user, users, by_item = arrays.values()
        shape = (len(by_user) - 1, len(by_item) - 1)
        return cls(
            sparse.csr_array((weights, items, by_user), shape=shape),
            sparse.csr_array((np.ones(len(users), np.float32), users, by_item), shape=shape[::-1]),
            neighbours,
            similarity,
            shrink,
        )
