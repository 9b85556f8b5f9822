"""Compiled steps over small arrays, for the pipeline and for plugins.

numpy costs a microsecond or more per call however small the array, and a request takes hundreds of
such calls. Each function here is one pass over float32 and int32 arrays without the interpreter lock.
``tests/kernels`` holds each equal to a plain numpy form. ``B`` is the number of queries, ``n`` the number
of items of a model, ``N`` that of the catalogue, ``M`` the number of items asked about.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cuvee.kernels import compiled, compiled_sparse

__all__ = [
    "attributions", "best_columns", "in_history", "is_finite", "is_inside", "nearest_liked", "pick", "products",
    "ranks", "ridge", "sampled_products", "settle", "strongest", "take", "top", "union", "with_chosen",
    "with_prior", "zscore",
]  # fmt: skip

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"
Offsets: TypeAlias = npt.NDArray[np.int64]

OLDEST = 20.0
"""Half-lives after which an event counts for less than the rounding of a float32."""


def _bytes(flags: Bools | None) -> Any:
    return None if flags is None else flags.view(np.uint8)


def top(
    scores: Floats,
    k: int,
    excluded: tuple[Offsets, Ints] | None = None,
    eligible: Bools | None = None,
    above: float = -np.inf,
) -> tuple[Ints, Floats]:
    """The k best of each row.

    Args:
        scores: float32[B, n]; NaN and -inf are never among the best.
        k: how many; at most n come back.
        excluded: int64[B + 1] offsets and int32 columns: what each row leaves out; others may be in it.
        eligible: bool[at least n], one for all rows; None is all.
        above: scores of this and less are not among the best either.

    Returns:
        int32[B, k] columns, best first, equal scores in order of column, -1 behind the last; and
        float32[B, k], their scores, NaN behind the last.
    """
    k = min(k, scores.shape[1])
    items, values = np.empty((len(scores), k), np.int32), np.empty((len(scores), k), np.float32)
    if k and len(scores):
        offsets, hidden = excluded if excluded is not None and len(excluded[1]) else (None, None)
        compiled.top(np.ascontiguousarray(scores), k, _bytes(eligible), offsets, hidden, above, items, values)
    return items, values


def best_columns(scores: Floats, k: int) -> Ints:
    """int32[B, up to k]: the columns of the k best of each row, as :func:`top` has them."""
    return top(scores, k)[0]


def take(dense: Floats, items: Ints) -> Floats:
    """float32[B, M]: dense[b, items[b, m]] of float32[B, n]; NaN where an item is -1, or n or more."""
    out = np.empty(items.shape, np.float32)
    compiled.take(dense, items, out)
    return out


V = TypeVar("V", np.float32, np.int32)


def pick(source: npt.NDArray[V], columns: Ints, missing: float) -> npt.NDArray[V]:
    """[p, B, K]: of [p, B, M] (float32 or int32) the columns int32[B, K]; ``missing`` where a column is -1."""
    out = np.empty((len(source), *columns.shape), source.dtype)
    compiled.pick(source, columns, missing, out)
    return out


def settle(found: Floats, items: Ints, served: Bools, out: Floats) -> Bools | None:
    """Write what a source said of items into ``out``, NaN where an item is -1 or the row is not served.

    Args:
        found: float32[B, M].
        items: int32[B, M].
        served: bool[B].
        out: float32[B, M].

    Returns:
        bool[B]: in which rows the source said anything; None where a score is infinite.
    """
    live = np.empty(len(items), np.bool_)
    return live if compiled.settle(found, items, _bytes(served), out, _bytes(live)) else None


def union(
    proposals: Sequence[Ints], served: Bools, excluded: tuple[Offsets, Ints], eligible: Bools | None, n: int, cap: int
) -> tuple[Ints, Ints]:
    """Each query's distinct candidates.

    Args:
        proposals: per source int32[B, k], best first, -1 pads.
        served: bool[p, B]: which source's proposals count for which query.
        excluded: int64[B + 1] offsets and int32 items that no query may get.
        eligible: bool[N]: what may be shown at all; None is everything.
        n: size of the catalogue.
        cap: a query with more than this keeps those that stand highest in any source's list.

    Returns:
        int32[B, M] in order of position, -1 behind the end; and int32[p, B], how many each source proposed.
    """
    rows = served.shape[1]
    width = min(cap, sum(p.shape[1] for p in proposals))
    items = np.empty((rows, max(width, 1)), np.int32)
    lengths, proposed = np.zeros(rows, np.int32), np.zeros((len(proposals), rows), np.int32)
    given = [np.ascontiguousarray(p) for p in proposals]
    compiled.union(given, _bytes(served), *excluded, _bytes(eligible), n, width, items, lengths, proposed)
    return items[:, : int(lengths.max(initial=0))], proposed


def ranks(proposals: Sequence[Ints], served: Bools, items: Ints, n: int) -> Ints:
    """int32[p, B, M]: each item's 1-based place in each source's own list, 0 where it is not there."""
    out = np.zeros((len(proposals), *items.shape), np.int32)
    compiled.ranks([np.ascontiguousarray(p) for p in proposals], _bytes(served), items, n, out)
    return out


def is_finite(scores: Floats) -> bool:
    """Whether no score of float32[B, M] is infinite; NaN is allowed."""
    return bool(compiled.finite(scores))


def is_inside(items: Ints, n: int) -> bool:
    """Whether every item of int32[B, k] is -1 or below n."""
    return bool(compiled.inside(items, n))


def zscore(raw: Floats) -> Floats:
    """float32[B, M]: (x - mean) / standard deviation of each row; NaN stays; all equal: 0."""
    out = np.empty(raw.shape, np.float32)
    compiled.zscore(np.ascontiguousarray(raw), out)
    return out


def with_prior(calibrated: Floats, weights: Floats, present: Bools, untouched: Bools | None, optimism: float) -> Floats:
    """Weight x opinion, see :class:`cuvee.ranking.blend.WeightedSum` with ``prior``.

    Args:
        calibrated: float32[p, B, M], NaN = no opinion.
        weights: float32[p, B].
        present: bool[B, M]: where an item is; the rest is padding.
        untouched: bool[B, M]: the items that nobody had to do with yet.
        optimism: standard deviations above the mean that a missing opinion on one of these counts as.

    Returns:
        float32[p, B, M], 0 on padding.
    """
    out = np.empty(calibrated.shape, np.float32)
    compiled.with_prior(calibrated, weights, _bytes(present), _bytes(untouched), optimism, out)
    return out


def in_history(
    offsets: Offsets,
    items: Ints,
    weights: Floats,
    n: int,
    half_life: float | None = None,
    known: Bools | None = None,
    *,
    shares: bool = False,
) -> Matrix:
    """Histories as a sparse matrix: the decayed weight of each item.

    Args:
        offsets: int64[B + 1]; row b's events, oldest first, are ``items[offsets[b]:offsets[b + 1]]``.
        items: int32, positions; those at or above n are left out.
        weights: float32; events of weight 0 are left out.
        n: columns of the matrix.
        half_life: so many later events halve what an event counts; None does not decay.
        known: bool[n]: events of weight 0 and of items that are not known are passed over as if they had
            not happened; without it they make earlier events older.
        shares: whether the weights of a row are scaled to add up to 1.

    Returns:
        float32[B, n]. A repeated item counts by its newest event alone.
    """
    rows = len(offsets) - 1
    indptr = np.empty(rows + 1, np.int32)
    indices, data = np.empty(len(items) + 1, np.int32), np.empty(len(items) + 1, np.float32)
    given = (offsets, items.astype(np.int32, copy=False), weights.astype(np.float32, copy=False))
    count = compiled.history(*given, half_life or 0.0, OLDEST, n, _bytes(known), shares, indptr, indices, data)
    # put into a copy of an empty one: the constructor's checks cost more than making the arrays
    made: Any = copy.copy(_empty(rows, n))
    made.indptr, made.indices, made.data = indptr, indices[:count], data[:count]
    matrix: Matrix = made
    return matrix


@lru_cache(maxsize=256)
def _empty(rows: int, n: int) -> Matrix:
    """float32[rows, n] without entries; shared, so never changed."""
    empty: Matrix = sparse.csr_array((rows, n), dtype=np.float32)  # type: ignore[assignment]
    return empty


def products(history: Matrix, table: Floats | Matrix) -> Floats:
    """float32[B, d]: a sparse matrix from :func:`in_history` times a table, float32[n, d] dense or sparse."""
    out = np.zeros((history.shape[0], table.shape[1]), np.float32)
    parts = (history.indptr, history.indices, history.data)
    if isinstance(table, np.ndarray):
        compiled.add_rows(*parts, table, out)
    else:
        compiled.add_sparse_rows(*parts, table.indptr, table.indices, table.data, out)
    return out


def sampled_products(pattern: Matrix, left: Floats, right: Floats) -> Floats:
    """float32[entries]: for each entry (i, j) of a sparse [n, m], left[i] times right[j].

    Args:
        pattern: its entries' places are read, not their values.
        left: float32[n, d], C order.
        right: float32[m, d], C order.
    """
    out = np.empty(len(pattern.indices), np.float32)
    columns = pattern.indices.astype(np.int32, copy=False)
    compiled_sparse.sampled_products(pattern.indptr, columns, left, right, out)
    return out


def ridge(vectors: Floats, weights: Floats, offsets: Offsets, background: Floats) -> Floats:
    """A weighted ridge regression onto 1 for each row: the x that minimises sum w (1 - x.q)^2 + x'Gx.

    Args:
        vectors: float32[H, d], C order: the vectors q of all rows, one row's behind the other's.
        weights: float32[H], above 0.
        offsets: int64[B + 1]: where in ``vectors`` each row begins.
        background: float32[d, d], C order: the matrix G, symmetric and positive definite.

    Returns:
        float32[B, d]; 0 for a row without vectors.
    """
    out = np.empty((len(offsets) - 1, len(background)), np.float32)
    compiled.ridge(vectors, weights, offsets, background, out)
    return out


def with_chosen(base: Floats, table: Floats, chosen: Offsets) -> Floats:
    """float32[B, n]: float32[n] plus the rows of a table, float32[S, n], that int64[B, C] names; 0 names none."""
    out = np.empty((len(chosen), len(base)), np.float32)
    compiled.add_chosen(base, table, chosen, out)
    return out


def strongest(history: Matrix, table: Floats | Matrix, rows: Ints, items: Ints) -> Ints:
    """For each pair (rows[j], items[j]) the item i of that row's history with the largest weight x table[i, item].

    Args:
        history: float32[B, n] from :func:`in_history`.
        table: float32[n, n]; a sparse one has its rows in order of column.
        rows: int32[P].
        items: int32[P], each below n.

    Returns:
        int32[P]; -1 where nothing of the history adds to the item.
    """
    best = np.empty(len(rows), np.int32)
    parts = (history.indptr, history.indices, history.data)
    if isinstance(table, np.ndarray):
        compiled.support(*parts, table, rows, items, best)
    else:
        compiled.sparse_support(*parts, table.indptr, table.indices, table.data, rows, items, best)
    return best


def nearest_liked(offsets: Offsets, events: Ints, weights: Floats, directions: Floats, rows: Ints, items: Ints) -> Ints:
    """For each pair (rows[j], items[j]) the liked item of that row's history that is nearest to the item by cosine.

    Args:
        offsets: int64[B + 1]; row b's events are ``events[offsets[b]:offsets[b + 1]]``.
        events: int32, positions.
        weights: float32; above 0 is liked.
        directions: float32[n, d], C order, rows of length 1, or 0 for what nothing is known of.
        rows: int32[P].
        items: int32[P], each below n.

    Returns:
        int32[P]: another item than the pair's own, of equally near ones the first in the catalogue; -1 where no
        cosine is above 0.
    """
    best = np.empty(len(rows), np.int32)
    compiled.nearest(offsets, events, weights, directions, rows, items, best)
    return best


def attributions(
    names: Sequence[bytes],
    part: Bools,
    raw: Floats,
    calibrated: Floats | None,
    contributions: Floats,
    ranks: Ints,
    weights: Floats,
    items: Ints,
) -> list[list[bytes]]:
    """What each source said of each item, as ``RecommendedItem.attributions`` of cuvee.v1 lies on the wire.

    A message with sixty small ones in it takes a tenth of a millisecond to build field by field, more than all that
    it tells takes to compute. Source: protobuf's encoding, https://protobuf.dev/programming-guides/encoding.

    Args:
        names: per source the field ``Attribution.source``, encoded with its tag.
        part: bool[p, B]: which source has a part in which answer.
        raw: float32[p, B, K], NaN = no opinion.
        calibrated: likewise; None where it is not told.
        contributions: float32[p, B, K].
        ranks: int32[p, B, K], 0 = none.
        weights: float32[p, B].
        items: int32[B, K]; of -1 nothing is written.

    Returns:
        B lists of K.
    """
    _, b, k = raw.shape
    if not raw.size:
        return [[b""] * k for _ in range(b)]
    # a tag, a length of up to 5, four numbers, a rank
    out = np.empty(b * k * sum(len(name) + 32 for name in names), np.uint8)
    ends = np.empty(b * k, np.int64)
    shown = raw if calibrated is None else calibrated
    compiled.attributions(
        list(names), _bytes(part), raw, shown, contributions, ranks, weights, items, calibrated is not None, out, ends
    )
    data, stops = out[: ends[-1]].tobytes(), ends.tolist()
    pieces = [data[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]
    return [pieces[at : at + k] for at in range(0, b * k, k)]
