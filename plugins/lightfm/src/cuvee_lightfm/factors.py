"""The saved and served model: representations as plain arrays. No LightFM object is kept after the fit.

In every table the last column is the bias. A row of NaN stands for an item of which nothing is
known, so its scores become NaN ("no opinion").
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Catalog, load_arrays, save_arrays
from scipy import sparse

from cuvee_lightfm.features import Features
from cuvee_lightfm.training import Side

__all__ = ["Factors", "Half"]

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

BLOCK = 16_384
"""Items whose vectors are made at a time (4 MB of them)."""
ARRAYS = {
    "table": "float32[n, d] known",
    "fitted": "bool[n]",
    "average": "float32[d] finite",
    "embeddings": "float32[F, d] finite",
}


@dataclass(frozen=True)
class Half:
    """The users' half of the model, or the items'."""

    table: Floats
    """float32[n, d + 1]: the representation of each user or item of the fit. Of an item without likes it is what is
    known by its columns, NaN without any."""
    fitted: Bools
    """bool[n]: which had likes in the fit. The id embeddings of the others are random, or were only
    trained as negatives, so they are treated as new."""
    average: Floats
    """float32[d + 1]: the mean of the id embeddings of those with likes; used for unknown ids."""
    embeddings: Floats
    """float32[F, d + 1]: the embedding of each feature."""
    features: Features
    """The vocabulary of features."""

    @classmethod
    def of(cls, side: Side, rows: Matrix, fitted: Bools, features: Features) -> Self:
        """Build from LightFM's embeddings; ``rows``, float32[n, F], are the features of each user or item."""
        average = side.own[fitted].mean(axis=0) if fitted.any() else np.zeros(side.own.shape[1], np.float32)
        return cls(side.represent(rows), fitted, average, side.features, features)

    def newcomers(self, rows: Matrix) -> Floats:
        """float32[b, d + 1]: representations of unknown users or items, by their features float32[b, F]."""
        whole: Floats = self.average + np.asarray(rows @ self.embeddings, np.float32)
        return whole

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>_*.npy`` and ``<name>_features.json``."""
        save_arrays(directory, {f"{name}_{array}": getattr(self, array) for array in ARRAYS})
        (directory / f"{name}_features.json").write_text(json.dumps(self.features.to_json(), indent=1))

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """Map what :meth:`save` wrote."""
        arrays = load_arrays(directory, {f"{name}_{array}": said for array, said in ARRAYS.items()})
        features = Features.from_json(json.loads((directory / f"{name}_features.json").read_text()))
        table, fitted, average, embeddings = arrays.values()
        return cls(table, fitted, average, embeddings, features)


@dataclass(frozen=True)
class Factors:
    """Both halves, and the items of a catalogue that may have grown since the fit."""

    users: Half
    items: Half
    last_seen: npt.NDArray[np.float64]
    """float64[U]: the time of each user's last event in the fit; -inf without any."""
    catalog_items: Floats
    """float32[N, d + 1]: every item of the catalogue; NaN for one of no likes and no features."""

    @classmethod
    def of(cls, users: Half, items: Half, last_seen: npt.NDArray[np.float64], catalog: Catalog) -> Self:
        """Add the vectors of items without likes and of those that are newer than the model, by their columns.

        The table of the items of the fit is used as it is where it holds these vectors already: a mapped one of a
        million items is not copied into memory.
        """
        n = len(items.fitted)
        cold = np.concatenate([np.flatnonzero(~items.fitted), np.arange(n, len(catalog.items))])
        if not len(cold):
            return cls(users, items, last_seen, items.table)
        rows = items.features.of_entities(catalog.items)[cold]
        table = items.table
        if len(catalog.items) > n:
            table = np.concatenate([table, np.empty((len(catalog.items) - n, table.shape[1]), np.float32)])
        for start in range(0, len(cold), BLOCK):
            block = slice(start, start + BLOCK)
            vectors = items.newcomers(rows[block])
            vectors[np.diff(rows[block].indptr) == 0] = np.nan
            if table is items.table:
                if np.array_equal(table[cold[block]], vectors, equal_nan=True):
                    continue
                table = table.copy()
            table[cold[block]] = vectors
        return cls(users, replace(items, table=table[:n]), last_seen, table)

    def save(self, directory: Path) -> None:
        """Write everything except new items, which are computed at every load."""
        self.users.save(directory, "users")
        self.items.save(directory, "items")
        save_arrays(directory, {"last_seen": self.last_seen})

    @classmethod
    def load(cls, directory: Path, catalog: Catalog) -> Self:
        """Map what :meth:`save` wrote."""
        users, items = Half.load(directory, "users"), Half.load(directory, "items")
        seen = load_arrays(directory, {"last_seen": "float64[n]"}, n=len(users.table))
        return cls.of(users, items, seen["last_seen"], catalog)
