"""Approximate nearest vectors: an index for catalogues of hundreds of thousands of items.

An inverted file (Sivic and Zisserman 2003; Jégou et al. 2011): k-means sorts the items into cells, and
a query looks only into the cells whose centres have the largest inner products with it. Inside a cell
products are exact. The number of cells to search is chosen at fit, so that ``RECALL`` of the exact best are found for a
sample of queries. Everything is plain arrays, mapped from disk, so processes share their pages.

For plugin authors: :class:`Nearest` for dense vectors; :class:`Cells` where scores are computed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from cuvee.artifacts.arrays import load_arrays, save_arrays
from cuvee.queries import Bools, Candidates, Floats, Ints, Offsets, Queries

__all__ = ["Cells", "Nearest", "Scan", "ranked", "unlisted"]

Scan: TypeAlias = Callable[[int, Sequence[slice] | Offsets], Floats]
"""Given the row of a query and places in the order of :attr:`Cells.items` (runs of them, or int64[m] rising):
float32[m], the scores of the items there."""

RECALL = 0.95
"""The share of the exact best that an index must find, over the sample that it is measured with."""
MARGIN = 0.01
"""Safety margin on top of ``RECALL`` that the sample must reach, since other queries differ from it."""
FEW = 20_000
"""Up to so many eligible items are all scored: a narrow filter needs no search."""
SAMPLE = 64
"""Vectors for each centre that k-means looks at."""
ROUNDS = 8
"""Of k-means."""
BLOCK = 16_384
"""Vectors that are compared with all centres at a time."""


@dataclass(frozen=True)
class Cells:
    """Items sorted into cells, and how many cells a query looks into."""

    centres: Floats
    """float32[c, d]."""
    offsets: Offsets
    """int64[c + 1]: the items of cell i are ``items[offsets[i]:offsets[i + 1]]``."""
    items: Ints
    """int32[n]: positions by cell, rising within each."""
    probes: int
    """Cells that a query looks into."""
    recall: float
    """The share of the exact best that was found at fit."""

    @classmethod
    def learn(cls, vectors: Floats, seed: int = 0) -> Self:
        """Sort float32[N, d] into about sqrt(N) cells; rows that are not finite are in none."""
        known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        count = max(1, min(len(known), round(len(known) ** 0.5)))
        rng = np.random.default_rng(seed)
        sample = vectors[np.sort(rng.permutation(known)[: SAMPLE * count])]
        centres = sample[rng.permutation(len(sample))[:count]].copy()
        for _ in range(ROUNDS if len(sample) else 0):
            nearest = _nearest_centres(sample, centres)
            sizes = np.bincount(nearest, minlength=count)
            order = np.argsort(nearest, kind="stable")
            filled = np.flatnonzero(sizes)
            starts = np.concatenate([[0], np.cumsum(sizes)])[filled]
            centres[filled] = np.add.reduceat(sample[order], starts, axis=0) / sizes[filled, None]
        cell = np.concatenate(
            [np.empty(0, np.int64)]
            + [_nearest_centres(vectors[known[at : at + BLOCK]], centres) for at in range(0, len(known), BLOCK)]
        )
        order = np.argsort(cell, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=count))]).astype(np.int64)
        return cls(centres, offsets, known[order].astype(np.int32), count, 1.0)

    def __len__(self) -> int:
        return len(self.items)

    def measured(self, asking: Floats, scan: Scan, k: int) -> Self:
        """With the fewest probes that find ``RECALL`` of the exact k best for a sample of queries, float32[q, d].

        ``scan`` scores for the row of a query in the sample.
        """
        if not len(asking) or not len(self):
            return self
        every = [slice(0, len(self))]
        best = []
        for b in range(len(asking)):
            scores = scan(b, every)
            picked = _largest(scores, k)
            best.append((np.sort(scores[picked]), picked))
        probes = 1
        while True:
            found = 0.0
            visited = self._cells(asking, probes)
            for b, (scores, _) in enumerate(best):
                seen = scan(b, self._runs(visited[b]))
                # compared by score, so that any of several equal items counts as found
                found += np.minimum((seen >= scores[0]).sum(), len(scores)) / max(len(scores), 1)
            recall = float(found / len(asking))
            if recall >= min(RECALL + MARGIN, 1.0) or probes >= len(self.centres):
                return replace(self, probes=probes, recall=recall)
            probes = min(len(self.centres), max(probes + 1, probes * 5 // 4))

    def search(self, asking: Floats, k: int, queries: Queries, scan: Scan) -> tuple[Ints, Floats]:
        """Each query's k best of what is indexed, less what the queries exclude.

        Args:
            asking: float32[B, d], the queries in the space of the centres.
            k: how many.
            queries: their exclusions and ``eligible`` apply; where few items are eligible, all of those are scored.
            scan: see :data:`Scan`.

        Returns:
            int32[B, k] and float32[B, k]: positions, best first (of equal scores the lower position), and
            scores; -1 and NaN pad.
        """
        items = np.full((len(queries), k), -1, np.int32)
        scores = np.full((len(queries), k), np.nan, np.float32)
        if not k or not len(self) or not len(queries):
            return items, scores
        eligible, probes, places = queries.eligible, self.probes, None
        if eligible is not None:
            share = np.count_nonzero(eligible) / len(eligible)
            if share * len(self) <= FEW:
                places = np.flatnonzero(eligible[self.items])
            else:
                probes = min(len(self.centres), int(np.ceil(probes / share)))
        visited = None if places is not None else self._cells(asking, probes)
        for b in range(len(queries)):
            excluded = queries.excluded.row(b)
            if places is not None or visited is None:
                found = self._best(b, places if places is not None else np.empty(0, np.int64), k, excluded, None, scan)
            else:
                wanted, tried = visited[b], probes
                found = self._best(b, self._runs(wanted), k, excluded, eligible, scan)
                while len(found[0]) < k and tried < len(self.centres):
                    tried = min(len(self.centres), tried * 4)
                    (wanted,) = self._cells(asking[b : b + 1], tried)
                    found = self._best(b, self._runs(wanted), k, excluded, eligible, scan)
            items[b, : len(found[0])], scores[b, : len(found[0])] = found
        return items, scores

    def _best(
        self, b: int, places: Sequence[slice] | Offsets, k: int, excluded: Ints, eligible: Bools | None, scan: Scan
    ) -> tuple[Ints, Floats]:
        """The k best of the items at some places, without the excluded ones."""
        scores = scan(b, places)
        if isinstance(places, np.ndarray):
            items = self.items[places]
        else:
            items = np.concatenate([self.items[run] for run in places]) if places else self.items[:0]
        if eligible is not None:
            kept = eligible[items]
            items, scores = items[kept], scores[kept]
        picked = _largest(scores, k + len(excluded))
        items, scores = items[picked], scores[picked]
        if len(excluded):
            kept = ~np.isin(items, excluded)
            items, scores = items[kept], scores[kept]
        order = np.lexsort((items, -scores))[:k]
        return items[order], scores[order]

    def _cells(self, asking: Floats, probes: int) -> Ints:
        """int64[B, probes]: the cells to look into, rising."""
        near = asking @ self.centres.T
        count = len(self.centres)
        if probes >= count:
            return np.broadcast_to(np.arange(count), (len(asking), count))
        return np.sort(np.argpartition(near, count - probes, axis=1)[:, count - probes :], axis=1)

    def _runs(self, cells: Ints) -> Sequence[slice]:
        """Where the items of cells lie; cells side by side are one run."""
        starts, stops = self.offsets[cells], self.offsets[cells + 1]
        breaks = np.flatnonzero(starts[1:] != stops[:-1])
        first, last = starts[np.concatenate([[0], breaks + 1])], stops[np.concatenate([breaks, [len(cells) - 1]])]
        return [slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True) if b > a]

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>.<part>.npy``."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "centres": self.centres,
            "offsets": self.offsets,
            "items": self.items,
            "measured": np.asarray([self.probes, self.recall]),
        }
        save_arrays(directory, {f"{name}.{part}": array for part, array in arrays.items()})

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """Map what :meth:`save` wrote."""
        wanted = {
            "centres": "float32[cells, d] finite",
            "offsets": "int64[cells + 1] to n",
            "items": "int32[n]",
            "measured": "float64[2] finite",
        }
        parts = load_arrays(directory, {f"{name}.{part}": said for part, said in wanted.items()})
        centres, offsets, items, measured = parts.values()
        return cls(centres, offsets, items, int(measured[0]), float(measured[1]))


@dataclass(frozen=True)
class Nearest:
    """The largest inner products of dense vectors."""

    cells: Cells
    vectors: Floats
    """float32[n, d], in the order of ``cells.items``."""

    @classmethod
    def fit(cls, vectors: Floats, asking: Floats, k: int = 200, seed: int = 0) -> Self:
        """Index float32[N, d].

        Args:
            vectors: by position; a row with NaN is never found.
            asking: float32[q, d], a sample of the queries to come, which the recall is measured with; a
                few hundred.
            k: the recall is that of the k best.
            seed: of k-means; equal data and seed give an equal index.
        """
        cells = Cells.learn(vectors, seed)
        index = cls(cells, np.ascontiguousarray(vectors[cells.items]))
        return replace(index, cells=cells.measured(asking, index._scan(asking), k))

    def search(self, asking: Floats, k: int, queries: Queries) -> tuple[Ints, Floats]:
        """int32[B, k] positions, float32[B, k] products: see :meth:`Cells.search`."""
        return self.cells.search(asking, k, queries, self._scan(asking))

    def _scan(self, asking: Floats) -> Scan:
        def scan(b: int, places: Sequence[slice] | Offsets) -> Floats:
            if isinstance(places, np.ndarray):
                return np.asarray(self.vectors[places] @ asking[b])
            parts = [self.vectors[run] @ asking[b] for run in places]
            return np.concatenate(parts) if parts else np.empty(0, np.float32)

        return scan

    def save(self, directory: Path, name: str) -> None:
        """Write ``<name>.<part>.npy``."""
        self.cells.save(directory, name)
        save_arrays(directory, {f"{name}.vectors": self.vectors})

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """Map what :meth:`save` wrote."""
        cells, file = Cells.load(directory, name), f"{name}.vectors"
        wanted = {file: "float32[n, d] finite"}
        return cls(cells, load_arrays(directory, wanted, n=len(cells), d=cells.centres.shape[1])[file])


def _nearest_centres(vectors: Floats, centres: Floats) -> Offsets:
    """int64[n]: the nearest centre of each vector, by distance."""
    half = (centres * centres).sum(axis=1) / 2
    return np.concatenate(
        [np.empty(0, np.int64)]
        + [(vectors[at : at + BLOCK] @ centres.T - half).argmax(axis=1) for at in range(0, len(vectors), BLOCK)]
    )


def _largest(scores: Floats, k: int) -> Offsets:
    """int64[min(k, n)]: where the k largest of float32[n] are, in any order."""
    return np.argpartition(scores, len(scores) - k)[len(scores) - k :] if k < len(scores) else np.arange(len(scores))


def ranked(items: Ints, scores: Floats, k: int) -> Candidates:
    """The k best of items that were found, int32[B, m] with -1 for none, by float32[B, m]; NaN is not proposed.

    Best first, of equal scores the lower position, as :meth:`cuvee.Candidates.top` has it.
    """
    values = np.where((items < 0) | np.isnan(scores), -np.inf, scores)
    order = np.lexsort((items, -values), axis=1)[:, :k]
    listed = np.take_along_axis(items, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    none = np.isneginf(values)
    return Candidates(np.where(none, np.int32(-1), listed), np.where(none, np.float32(np.nan), values))


def unlisted(first: int, stop: int, queries: Queries) -> Ints:
    """int32[B, stop - first]: the items from ``first`` on that may be proposed, -1 for those that may not.

    For the items that are newer than an index: few, and scored one by one.
    """
    newer = np.broadcast_to(np.arange(first, stop, dtype=np.int32), (len(queries), stop - first)).copy()
    if queries.eligible is not None:
        newer[:, ~queries.eligible[first:stop]] = -1
    late = (queries.excluded.items >= first) & (queries.excluded.items < stop)
    newer[queries.excluded.rows[late], queries.excluded.items[late] - first] = -1
    return newer
