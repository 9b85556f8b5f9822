"""The item-based models: a matrix from the items of a history to all items.

Scores are ``history @ W``. Dense (EASE) or sparse (item-kNN, transitions); both are memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import kernels, load_arrays, save_arrays
from scipy import sparse

__all__ = ["ItemWeights"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

LARGE = 20_000
"""Catalogues of more items are scored sparsely: dense rows would be mostly zeros."""


@dataclass(frozen=True)
class ItemWeights:
    """W, float32[N, N]: row i has the weights of item i for each item."""

    weights: Floats | Matrix

    @property
    def n_items(self) -> int:
        """N."""
        return int(self.weights.shape[0])

    def scores(self, history: Matrix, users: Ints) -> Floats:
        """float32[B, N]: the scores of all items for a sparse history, float32[B, N]."""
        del users  # the result does not depend on the user
        return kernels.products(history, self.weights)

    def sparse_scores(self, history: Matrix, users: Ints) -> Matrix | None:
        """The same, sparse, where the weights are and the catalogue is large; None where not."""
        del users
        if isinstance(self.weights, np.ndarray) or self.n_items <= LARGE:
            return None
        return sparse.csr_array(history @ self.weights)

    def strongest(self, history: Matrix, users: Ints, rows: Ints, items: Ints) -> Ints:
        """int32[P]: for pairs of a row and an item, the item of the row's history that adds most to its score."""
        del users
        return kernels.strongest(history, self.weights, rows, items)

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>.npy``, or its three parts where sparse."""
        if isinstance(self.weights, np.ndarray):
            save_arrays(directory, {name: self.weights})
        else:
            self.weights.sort_indices()  # so that single entries of a row can be found by bisection
            parts = {part: getattr(self.weights, part) for part in ("data", "indices", "indptr")}
            save_arrays(directory, {f"{name}.{part}": array for part, array in parts.items()})

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """Map what :meth:`save` wrote under this name."""
        if (directory / f"{name}.npy").exists():
            return cls(load_arrays(directory, {name: "float32[n, n] finite"})[name])
        wanted = {"data": "float32[pairs] finite", "indices": "int[pairs] in n", "indptr": "int[n + 1] to pairs"}
        arrays = load_arrays(directory, {f"{name}.{part}": said for part, said in wanted.items()})
        data, indices, indptr = arrays.values()
        n = len(indptr) - 1
        return cls(sparse.csr_array((data, indices, indptr), shape=(n, n)))
