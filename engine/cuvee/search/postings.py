"""Approximate search of sparse vectors: an index for catalogues of hundreds of thousands of items.

Each feature has a list of the items that bear it, with its weight there: an inverted file, cut by what a query
may cost (Lin and Trotman 2015, "Anytime ranking for impact-ordered indexes"). A query reads the lists of the features
that add most to an item of theirs, until it has read ``budget`` entries. Of the items named there, the ``kept`` of
the largest sums are scored exactly. Both numbers are chosen at fit, as the cheapest pair that finds ``RECALL`` of
the exact best for a sample of queries. Everything is plain arrays, mapped from disk.

For dense vectors there is :class:`cuvee.Nearest`. Its cells suit them, but hardly any two titles share their words,
so that a query for words had to look into a third of all cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cuvee.artifacts.arrays import load_arrays, save_arrays
from cuvee.kernels import compiled_sparse
from cuvee.queries import Floats, Histories, Ints, Offsets, Queries
from cuvee.search.nearest import FEW, MARGIN, RECALL

__all__ = ["Postings"]

Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"
Room: TypeAlias = tuple[Floats, Ints, npt.NDArray[np.uint8]]

SCORED = 12.0
"""What scoring an item costs, in entries of a list."""
LEAST = 1024
"""Items that are scored at least."""
AT_ONCE = 8
"""Queries whose exact scores are made at a time at fit: each has one for every item."""


@dataclass(frozen=True)
class Postings:
    """The largest inner products of sparse vectors."""

    offsets: Offsets
    """int64[F + 1]: the list of feature f is ``items[offsets[f]:offsets[f + 1]]``."""
    items: Ints
    """int32[m]: positions, rising within each list."""
    impacts: Floats
    """float32[m]: the weight of the feature in that item; above 0."""
    means: Floats
    """float32[F]: of each list's impacts."""
    rows: Matrix
    """float32[N, F]: the vectors, by position."""
    budget: int
    """Entries of lists that a query reads."""
    kept: int
    """Items that are scored exactly."""
    recall: float
    """The share of the exact best that was found at fit."""
    _rooms: list[Room] = field(default_factory=list, repr=False, compare=False)
    """Work space that no search is using at the moment."""

    @classmethod
    def fit(cls, rows: Matrix, asking: Floats, k: int = 200) -> Postings:
        """Index float32[N, F].

        Args:
            rows: by position, with int32 indices; only entries above 0 are in a list. A row of zeros is never found.
            asking: float32[q, F], a sample of the queries to come, which the recall is measured with; a
                hundred.
            k: the recall is that of the k best.
        """
        listed = sparse.csr_array(rows.T.tocsr())
        if (listed.data <= 0).any():
            listed.data[listed.data < 0] = 0
            listed.eliminate_zeros()
        offsets = listed.indptr.astype(np.int64)
        lengths = np.diff(offsets)
        means = np.bincount(np.repeat(np.arange(len(lengths)), lengths), listed.data, len(lengths)) / np.maximum(
            lengths, 1
        )
        parts = (offsets, listed.indices.astype(np.int32), listed.data.astype(np.float32), means.astype(np.float32))
        return cls(*parts, rows, len(listed.data), rows.shape[0], 1.0)._measured(asking, k)

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def _measured(self, asking: Floats, k: int) -> Postings:
        """With the cheapest search that finds ``RECALL`` of the exact k best."""
        k = min(k, len(self))
        asking = asking[(asking > 0).any(axis=1)]
        if not len(asking) or not k:
            return self
        least, counts = self._exact(asking, k)
        everything = Queries.build(Histories.build([[]] * len(asking)))

        def tried(budget: int, kept: int) -> Postings:
            found = replace(self, budget=budget, kept=kept)
            scores = found.search(asking, k, everything)[1]
            # compared by score, so that any of several equal items counts as found
            recall = np.minimum((scores >= least[:, None]).sum(axis=1) / counts, 1.0).mean()
            return replace(found, recall=float(recall))

        best = tried(len(self.items), len(self))
        for budget in (1 << at for at in range(12, len(self.items).bit_length())):
            # of so many entries read, as few scored as do; as many as cost what the best so far does are too many
            kept = int(min(len(self), budget, (best.cost - budget) / SCORED))
            while kept >= LEAST and (found := tried(budget, kept)).recall >= min(RECALL + MARGIN, best.recall):
                best, kept = found, kept // 2
        return best

    @property
    def cost(self) -> float:
        """What a query costs, in entries of a list."""
        return self.budget + SCORED * self.kept

    def _exact(self, asking: Floats, k: int) -> tuple[Floats, Ints]:
        """float32[q]: the k-th best score of each query, less rounding; int[q]: how many are as good."""
        least, counts = [], []
        for at in range(0, len(asking), AT_ONCE):
            scores = (self.rows @ np.ascontiguousarray(asking[at : at + AT_ONCE].T)).T
            bounds = np.maximum(np.partition(scores, scores.shape[1] - k, axis=1)[:, -k], 1e-9) * np.float32(1 - 1e-6)
            least.append(bounds)
            counts.append(np.clip((scores >= bounds[:, None]).sum(axis=1), 1, k))
        return np.concatenate(least).astype(np.float32), np.concatenate(counts)

    def search(self, asking: Floats, k: int, queries: Queries) -> tuple[Ints, Floats]:
        """Each query's k best, less what the queries exclude.

        Args:
            asking: float32[B, F]; features below 0 are in the scores, and find nothing.
            k: how many.
            queries: their exclusions and ``eligible`` apply; where few items are eligible, all of those are scored.

        Returns:
            int32[B, k] and float32[B, k]: positions, best first (of equal scores the lower position), and
            scores; -1 and NaN pad. An item without any feature of the query is in no list.
        """
        asking = np.ascontiguousarray(asking, np.float32)
        eligible, share, only = queries.eligible, 1.0, None
        if eligible is not None:
            eligible = eligible[: len(self)]
            share = np.count_nonzero(eligible) / max(len(eligible), 1)
            if share * len(eligible) <= FEW:
                only, eligible = np.flatnonzero(eligible).astype(np.int32), None
        kept, budget = (
            min(int(np.ceil(limit / max(share, 1e-9))), 1 << 30) for limit in (max(self.kept, k), self.budget)
        )
        read = self._read(asking, budget)
        items, scores = self._searched(asking, k, queries, read, only, eligible, kept)
        short = np.flatnonzero(items[:, -1] < 0) if k and only is None else ()
        if len(short):
            # few items bear what was read: the other lists, too
            every = self._read(asking[short], len(self.items))
            again = queries.select(short)
            items[short], scores[short] = self._searched(asking[short], k, again, every, None, eligible, kept)
        return items, scores

    def _read(self, asking: Floats, budget: int) -> tuple[Ints, Ints, Floats]:
        """int32[B + 1], int32[t], float32[t]: the lists that each query reads, and its weight of each."""
        starts, terms = np.zeros(len(asking) + 1, np.int32), []
        lengths = np.diff(self.offsets)
        for b, query in enumerate(asking):
            named = np.flatnonzero(query > 0)
            named = named[np.argsort(-query[named] * self.means[named], kind="stable")]
            if (ends := np.cumsum(lengths[named])).size and ends[-1] > budget:
                named = named[_fitting(lengths[named].tolist(), budget)]
            terms.append(named)
            starts[b + 1] = starts[b] + len(named)
        listed = np.concatenate([np.empty(0, np.int64), *terms]).astype(np.int32)
        rows = np.repeat(np.arange(len(asking)), np.diff(starts))
        return starts, listed, asking[rows, listed]

    def _searched(
        self,
        asking: Floats,
        k: int,
        queries: Queries,
        read: tuple[Ints, Ints, Floats],
        only: Ints | None,
        eligible: npt.NDArray[np.bool_] | None,
        kept: int,
    ) -> tuple[Ints, Floats]:
        n = len(self)
        found, scores = np.empty((len(asking), k), np.int32), np.empty((len(asking), k), np.float32)
        room = (
            self._rooms.pop()
            if self._rooms
            else (np.zeros(n, np.float32), np.empty(n, np.int32), np.zeros(n, np.uint8))
        )
        excluded = queries.excluded if len(queries.excluded.items) else None
        compiled_sparse.search(
            self.offsets, self.items, self.impacts, self.rows.indptr, self.rows.indices, self.rows.data, asking, *read,
            None if eligible is None else eligible.view(np.uint8), None if excluded is None else excluded.offsets,
            None if excluded is None else excluded.items, only, kept, *room, found, scores,
        )  # fmt: skip
        self._rooms.append(room)
        return found, scores

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>.<part>.npy``; the vectors are not among them."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "offsets": self.offsets,
            "items": self.items,
            "impacts": self.impacts,
            "means": self.means,
            "measured": np.asarray([self.budget, self.kept, self.recall]),
        }
        save_arrays(directory, {f"{name}.{part}": array for part, array in arrays.items()})

    @classmethod
    def load(cls, directory: Path, name: str, rows: Matrix) -> Self:
        """Map what :meth:`save` wrote, beside the vectors that it was fitted on."""
        wanted = {
            "offsets": "int64[F + 1] to entries",
            "items": "int32[entries] in n",
            "impacts": "float32[entries] finite",
            "means": "float32[F] finite",
            "measured": "float64[3] finite",
        }
        n, width = rows.shape
        parts = load_arrays(directory, {f"{name}.{part}": said for part, said in wanted.items()}, n=n, F=width)
        offsets, items, impacts, means, measured = parts.values()
        return cls(offsets, items, impacts, means, rows, int(measured[0]), int(measured[1]), float(measured[2]))


def _fitting(sizes: Sequence[int], room: int) -> list[int]:
    """Which fit into the room, taken in order; one that is too large is passed over, but never the first."""
    taken = []
    for at, size in enumerate(sizes):
        if size <= room or not at:
            taken.append(at)
            room -= size
    return taken
