"""Item-kNN and user-kNN on another model's item vectors (a deep model's, say) instead of on likes.

Vectors give a similarity also for items that no user has in common. Items without likes have neighbours,
too, where the other model has vectors for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import load_arrays, save_arrays
from scipy import sparse

from cuvee_neighbors.similarity import keep_top
from cuvee_neighbors.user_knn import UserNeighbours, ones_of

__all__ = ["VectorUsers", "as_known", "fit_item_knn_on_vectors"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

CELLS = 4_000_000
"""Similarities computed at a time (16 MB)."""


def as_known(vectors: Floats, n_items: int) -> Floats:
    """float32[N, d]: rows of length 1; zeros for unknown items and for items after the end of the vectors."""
    whole = np.zeros((n_items, vectors.shape[1]), np.float32)
    rows = vectors[:n_items]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    whole[: len(rows)] = rows * np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return whole


def fit_item_knn_on_vectors(
    vectors: Floats, neighbours: int, done: Callable[[int], None] = lambda _: None
) -> sparse.csr_array[Any, tuple[int, int]]:
    """The nearest items of each item by cosine.

    Args:
        vectors: float32[N, d], rows of length 1 or 0.
        neighbours: how many are kept of each item.
        done: called with the number of finished items.

    Returns:
        float32[N, N], sparse, zero diagonal: column j holds the neighbours of item j.
    """
    n = len(vectors)
    block = max(1, CELLS // max(n, 1))
    parts = []
    for start in range(0, n, block):
        mine = slice(start, min(start + block, n))
        alike = vectors[mine] @ vectors.T
        alike[np.arange(len(alike)), np.arange(n)[mine]] = 0
        parts.append(keep_top(alike, neighbours))
        done(mine.stop)
    if not parts:
        return sparse.csr_array(np.zeros((n, n), np.float32))
    rows: sparse.csr_array[Any, tuple[int, int]] = sparse.csr_array(sparse.vstack(parts))
    return sparse.csc_array((rows.data, rows.indices, rows.indptr), shape=(n, n)).tocsr()


@dataclass(frozen=True)
class VectorUsers(UserNeighbours):
    """User-based neighbours: a user is the mean of the vectors of his history, weighted by recency."""

    vectors: Floats
    """float32[N, d]: items, rows of length 1 or 0."""
    people: Floats
    """float32[U, d]: users, rows of length 1 or 0."""

    @classmethod
    def on(cls, liked: Matrix, history: Matrix, vectors: Floats, neighbours: int) -> Self:
        """Keep the weighted likes, float32[U, N]; users' vectors come from their weighted histories, float32[U, N]."""
        by_item = ones_of(sparse.csr_array(liked.T.tocsr()))
        people = as_known(np.asarray(history @ vectors, np.float32), history.shape[0])
        return cls(liked, by_item, neighbours, "cosine", 0.0, vectors, people)

    def nearest(self, history: Matrix, users: Ints) -> Matrix:
        """float32[B, U], sparse: cosines to the nearest users, normalised to add up to 1 in each row."""
        asking = as_known(np.asarray(history @ self.vectors, np.float32), history.shape[0])
        alike = asking @ self.people.T
        own = np.flatnonzero((users >= 0) & (users < alike.shape[1]))
        alike[own, users[own]] = 0
        near = keep_top(alike, self.neighbours)
        totals = np.asarray(near.sum(axis=1), np.float32).ravel()
        near.data /= np.repeat(totals, np.diff(near.indptr))
        return near

    def save(self, directory: Path, name: str) -> None:
        """Write the likes, and the vectors of items and users."""
        super().save(directory, name)
        save_arrays(directory, {f"{name}.vectors": self.vectors, f"{name}.people": self.people})

    @classmethod
    def load_on(cls, directory: Path, name: str, neighbours: int) -> Self:
        """Map what :meth:`save` wrote under this name."""
        likes = UserNeighbours.load(directory, name, neighbours, "cosine", 0.0)
        people, items = likes.liked.shape
        wanted = {f"{name}.vectors": "float32[items, d] finite", f"{name}.people": "float32[people, d] finite"}
        arrays = load_arrays(directory, wanted, people=people, items=items)
        return cls(likes.liked, likes.liked_by, neighbours, "cosine", 0.0, *arrays.values())
