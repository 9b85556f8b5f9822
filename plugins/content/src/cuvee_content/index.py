"""An index of the items' vectors, for catalogues too large for an exhaustive search at each request.

Words, labels and numbers alone are searched by lists of the items that bear each of them (:class:`cuvee.Postings`).
Ready-made vectors and sentences have a weight in every dimension. Where there are any, items are put into cells,
which are built and chosen in a few dimensions (truncated singular value decomposition); inside the cells cosines are
exact, over all features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Cells, Postings, Queries, load_arrays, save_arrays
from cuvee.search.nearest import Scan
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from cuvee_content.vectors import ROWS, Vectors

__all__ = ["Index", "fit_index", "load_index"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]

DIRECTIONS = 64
"""Of the sparse features."""
SAMPLE = 50_000
"""How many items the directions are learnt from."""
BEST = 200
"""The recall is measured over this many of the best items."""


class Index(Protocol):
    """The items nearest to a user."""

    @property
    def recall(self) -> float:
        """The share of the exact best that was found at fit."""
        ...

    def search(self, users: tuple[Floats, Floats], k: int, queries: Queries) -> Candidates:
        """The items of the highest cosines that the queries do not exclude."""
        ...

    def save(self, directory: Path) -> None:
        """Write ``index.<part>.npy``."""
        ...


def fit_index(vectors: Vectors, asking: tuple[Floats, Floats]) -> Index:
    """The index for these vectors.

    ``asking`` is a sample of users, float32[q, F] and float32[q, D], which the recall is measured with.
    """
    return (
        InCells.fit(vectors, asking)
        if vectors.dense.shape[1]
        else InLists(Postings.fit(vectors.sparse, asking[0], BEST))
    )


def load_index(directory: Path, vectors: Vectors) -> Index | None:
    """Map what was saved, beside the vectors of the items of the fit; None where there is none."""
    if (directory / "index.impacts.npy").exists():
        return InLists(Postings.load(directory, "index", vectors.sparse))
    return InCells.load(directory) if (directory / "index.centres.npy").exists() else None


@dataclass(frozen=True)
class InLists:
    """Lists of the items that bear each feature."""

    postings: Postings

    @property
    def recall(self) -> float:
        """The share of the exact best that was found at fit."""
        return self.postings.recall

    def search(self, users: tuple[Floats, Floats], k: int, queries: Queries) -> Candidates:
        """The items of the highest cosines: see :meth:`cuvee.Postings.search`."""
        return Candidates(*self.postings.search(users[0], k, queries))

    def save(self, directory: Path) -> None:
        """Write ``index.<part>.npy``."""
        self.postings.save(directory, "index")


@dataclass(frozen=True)
class InCells:
    """Cells of items, and the vectors in their order."""

    cells: Cells
    directions: Floats
    """float32[F, 64 at most]."""
    vectors: Vectors
    """Of the items that are known, in the order of ``cells.items``."""

    @classmethod
    def fit(cls, vectors: Vectors, asking: tuple[Floats, Floats]) -> Self:
        """Index the vectors that are not zero."""
        directions = _directions(vectors.sparse)
        thin = np.concatenate([vectors.sparse @ directions, vectors.dense], axis=1).astype(np.float32)
        thin[vectors.lengths == 0] = np.nan  # a zero vector has no neighbours
        cells = Cells.learn(thin)
        index = cls(cells, directions, _at(vectors, cells.items))
        return replace(index, cells=cells.measured(index._thin(asking), index._scan(asking), BEST))

    @property
    def recall(self) -> float:
        """The share of the exact best that was found at fit."""
        return self.cells.recall

    def search(self, users: tuple[Floats, Floats], k: int, queries: Queries) -> Candidates:
        """The items of the highest cosines: see :meth:`cuvee.Cells.search`."""
        return Candidates(*self.cells.search(self._thin(users), k, queries, self._scan(users)))

    def _thin(self, users: tuple[Floats, Floats]) -> Floats:
        """float32[B, d]: users in the space of the cells' centres."""
        return np.concatenate([users[0] @ self.directions, users[1]], axis=1).astype(np.float32)

    def _scan(self, users: tuple[Floats, Floats]) -> Scan:
        rows, dense = self.vectors.sparse, self.vectors.dense

        def scan(b: int, places: Sequence[slice] | Ints) -> Floats:
            if isinstance(places, np.ndarray):
                part, thick = rows[places], dense[places]
            else:
                part = _runs(rows, places)
                thick = np.concatenate([dense[run] for run in places]) if dense.shape[1] and places else dense[:0]
            scores = np.asarray(part @ users[0][b], np.float32)
            return scores + thick @ users[1][b] if dense.shape[1] else scores

        return scan

    def save(self, directory: Path) -> None:
        """Write ``index.<part>.npy``."""
        self.cells.save(directory, "index")
        rows = self.vectors.sparse
        parts: dict[str, npt.NDArray[Any]] = {
            "directions": self.directions,
            "data": rows.data,
            "indices": rows.indices,
            "indptr": rows.indptr,
            "dense": self.vectors.dense,
        }
        save_arrays(directory, {f"index.{name}": array for name, array in parts.items()})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what :meth:`save` wrote."""
        wanted = {"directions": "float32[width, axes] finite", **ROWS}
        arrays = load_arrays(directory, {f"index.{name}": said for name, said in wanted.items()})
        directions, data, indices, indptr, dense = arrays.values()
        rows = csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(directions)))
        return cls(Cells.load(directory, "index"), directions, Vectors(rows, dense))


def _directions(rows: csr_array) -> Floats:
    """float32[F, 64 at most]: the directions of the features that say most of the items."""
    width = min(DIRECTIONS, *rows.shape)
    if not width:
        return np.zeros((rows.shape[1], 0), np.float32)
    sample = rows[np.sort(np.random.default_rng(0).permutation(rows.shape[0])[:SAMPLE])]
    _, _, found = randomized_svd(sample, n_components=min(width, sample.shape[0]), random_state=0)
    return np.ascontiguousarray(found.T, np.float32)


def _at(vectors: Vectors, items: Ints) -> Vectors:
    """The vectors of some items, in their order, with small indices."""
    rows = vectors.sparse[items]
    narrow = csr_array((rows.data, rows.indices.astype(np.int32), rows.indptr), shape=rows.shape)
    return Vectors(narrow, vectors.dense[items])


def _runs(rows: csr_array, runs: Sequence[slice]) -> csr_array:
    """The rows of some runs, one below the other."""
    if len(runs) == 1 and runs[0] == slice(0, rows.shape[0]):
        return rows
    starts = [int(rows.indptr[run.start]) for run in runs]
    stops = [int(rows.indptr[run.stop]) for run in runs]
    lengths = [np.diff(rows.indptr[run.start : run.stop + 1]) for run in runs]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if runs else np.zeros(1, np.int64)
    entries = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
    data = np.concatenate([rows.data[e] for e in entries]) if runs else rows.data[:0]
    indices = np.concatenate([rows.indices[e] for e in entries]) if runs else rows.indices[:0]
    return csr_array((data, indices, indptr.astype(np.int32)), shape=(len(indptr) - 1, rows.shape[1]))
