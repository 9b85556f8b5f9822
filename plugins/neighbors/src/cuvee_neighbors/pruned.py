"""Sparse rows of bounded length, made in blocks of bounded memory, for catalogues of a million items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["blocks_of", "keep_largest", "stacked"]

Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

ENTRIES = 16_000_000
"""Entries computed at a time (about 200 MB with what computing them takes)."""


def blocks_of(sizes: Ints, entries: int | None = None) -> Iterator[slice]:
    """Runs of rows whose ``sizes`` (int[n], entries of each row) add up to at most ``entries``; never an empty one."""
    room = ENTRIES if entries is None else entries
    ends = np.cumsum(sizes, dtype=np.int64)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + room, side="right")))
        yield slice(start, stop)
        start = stop


def keep_largest(rows: Matrix, k: int, *, by_size: bool = False) -> Matrix:
    """The k largest entries of each row, of equal ones those of the lowest columns; ``by_size`` ignores the sign.

    Rows keep their order.
    """
    lengths = np.diff(rows.indptr)
    long = np.flatnonzero(lengths > k)
    if not len(long):
        return rows
    kept = np.ones(len(rows.data), np.bool_)
    for start, stop in zip(rows.indptr[long].tolist(), rows.indptr[long + 1].tolist(), strict=True):
        values = np.abs(rows.data[start:stop]) if by_size else rows.data[start:stop]
        least = np.partition(values, len(values) - k)[len(values) - k]
        mine = values > least
        equal = np.flatnonzero(values == least)
        mine[equal[np.argsort(rows.indices[start:stop][equal])[: k - int(mine.sum())]]] = True
        kept[start:stop] = mine
    indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, k))]).astype(rows.indptr.dtype)
    return sparse.csr_array((rows.data[kept], rows.indices[kept], indptr), shape=rows.shape)


def stacked(parts: Iterable[Matrix], width: int) -> Matrix:
    """The matrices stacked vertically; float32[0, width] for none."""
    found: list[Any] = [sparse.csr_array((0, width), dtype=np.float32), *parts]
    return sparse.csr_array(sparse.vstack(found, format="csr"))
