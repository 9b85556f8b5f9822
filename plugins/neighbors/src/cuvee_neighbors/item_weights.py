"""The model of the item-based kinds: a matrix from the items of a history to all items.

Scores are ``history @ W``. Dense (EASE) or sparse (item-kNN, transitions); both are memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import load_arrays, save_arrays
from scipy import sparse

__all__ = ["ItemWeights"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

LARGE = 20_000
"""Catalogues of more items are scored sparsely: dense rows would be mostly zeros."""
FEW = 16
"""Up to a sixteenth of the columns, gathering them is cheaper than making whole rows."""


@dataclass(frozen=True)
class ItemWeights:
    """W, float32[N, N]: row i says how much item i speaks for each item."""

    weights: Floats | Matrix

    @property
    def n_items(self) -> int:
        """N."""
        return int(self.weights.shape[0])

    def scores(self, history: Matrix, users: Ints) -> Floats:
        """float32[B, N]: the scores of all items for a sparse history, float32[B, N]."""
        del users  # whose history it is changes nothing
        product = history @ self.weights
        return product.toarray() if sparse.issparse(product) else np.asarray(product)

    def sparse_scores(self, history: Matrix, users: Ints) -> Matrix | None:
        """The same, sparse, where the weights are and the catalogue is large; None where not."""
        del users
        if isinstance(self.weights, np.ndarray) or self.n_items <= LARGE:
            return None
        return sparse.csr_array(history @ self.weights)

    def at(self, history: Matrix, users: Ints, items: Ints) -> Floats:
        """float32[B, M]: the scores of valid items, int[B, M]."""
        if isinstance(self.weights, np.ndarray) and items.shape[1] * FEW <= self.n_items:
            out = np.empty(items.shape, np.float32)
            bounds = zip(history.indptr, history.indptr[1:], strict=False)
            for b, (start, stop) in enumerate(bounds):
                gathered = self.weights[history.indices[start:stop, None], items[b]]
                out[b] = history.data[start:stop] @ gathered
            return out
        return np.take_along_axis(self.scores(history, users), items, axis=1)

    def support(self, history: Matrix, users: Ints, items: Ints) -> Floats:
        """float32[k, nnz of the only row]: what each item of the history adds to each of k items' scores."""
        del users
        told = self.weights[history.indices[:, None], items[None, :]]
        if not isinstance(self.weights, np.ndarray):
            told = sparse.csr_array(told).toarray()
        return np.asarray(told.T * history.data, np.float32)

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>.npy``, or its three parts where sparse."""
        if isinstance(self.weights, np.ndarray):
            save_arrays(directory, {name: self.weights})
        else:
            parts = {part: getattr(self.weights, part) for part in ("data", "indices", "indptr")}
            save_arrays(directory, {f"{name}.{part}": array for part, array in parts.items()})

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """Map what :meth:`save` wrote under this name."""
        if (directory / f"{name}.npy").exists():
            return cls(load_arrays(directory, name)[name])
        names = [f"{name}.{part}" for part in ("data", "indices", "indptr")]
        data, indices, indptr = load_arrays(directory, *names).values()
        n = len(indptr) - 1
        return cls(sparse.csr_array((data, indices, indptr), shape=(n, n)))
