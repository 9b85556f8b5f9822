"""Metrics beyond accuracy: coverage, novelty, diversity, popularity.

``lists`` is int32[B, K], best first, -1 pads; ``counts`` is int64[N], the users who have each item
in the training data. Per-user figures are float64[B], NaN where a list is empty.
Sources: Vargas and Castells, RecSys 2011 (novelty, intra-list diversity); Abdollahpouri et al.,
2019 (popularity bias).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from cuvee.data.catalog import Catalog, Role
from cuvee.data.dataset import Dataset
from cuvee.recommender import Ints, Offsets

__all__ = ["ItemTraits", "coverage", "exposure_gini", "intra_list_diversity", "novelty", "popularity", "user_counts"]

PerUser = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemTraits:
    """Item features by which two items are compared."""

    vectors: sparse.csr_array
    """float32[N, L], rows of length 1; all zeros where nothing is known of an item."""
    columns: tuple[str, ...]
    """The catalogue's columns that the features are made of."""

    @classmethod
    def of(cls, catalog: Catalog) -> ItemTraits | None:
        """Labels of the catalogue's categories, or its ready-made vectors where there are none; None for neither."""
        items = catalog.items
        labelled = items.columns(Role.CATEGORY, Role.CATEGORIES)
        if labelled:
            parts = [_labels(items.frame[name]) for name in labelled]
            return cls(_unit_rows(sparse.hstack(parts, format="csr")), tuple(labelled))
        for name in items.columns(Role.VECTOR):
            rows = [row if row is not None else [] for row in items.frame[name].to_list()]
            longest = max(map(len, rows), default=0)
            dense = np.array([row if len(row) else [0.0] * longest for row in rows], np.float32)
            return cls(_unit_rows(sparse.csr_array(dense)), (name,))
        return None


def _labels(column: pl.Series) -> sparse.csr_array:
    """float32[N, labels]: 1 where an item has the label."""
    frame = pl.DataFrame({"item": np.arange(len(column)), "label": column}).drop_nulls()
    if isinstance(column.dtype, pl.List | pl.Array):
        frame = frame.explode("label").drop_nulls()
    frame = frame.unique()
    labels = frame["label"].cast(pl.String).cast(pl.Categorical).to_physical().rank("dense").to_numpy() - 1
    n_labels = int(labels.max(initial=0)) + 1
    ones = np.ones(len(frame), np.float32)
    return sparse.csr_array((ones, (frame["item"].to_numpy(), labels)), shape=(len(column), n_labels))


def _unit_rows(vectors: sparse.csr_array) -> sparse.csr_array:
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths, where=lengths > 0, out=np.zeros(len(lengths)))
    return sparse.csr_array(sparse.diags_array(scale) @ vectors)


def user_counts(data: Dataset) -> Offsets:
    """int64[N]: how many users like each item."""
    return np.asarray(data.matrix().sum(axis=0), np.int64).ravel()


def _ratio(above: PerUser, below: PerUser | Offsets) -> PerUser:
    """``above / below``; NaN where ``below`` is 0."""
    out = np.full(len(above), np.nan)
    np.divide(above, below, where=below > 0, out=out)
    return out


def _mean(values: PerUser, shown: npt.NDArray[np.bool_]) -> PerUser:
    """The mean over the shown items of each row."""
    n = shown.sum(axis=1)
    total = np.where(shown, values, 0).sum(axis=1)
    return _ratio(total, n)


def novelty(lists: Ints, counts: Offsets, n_users: int) -> PerUser:
    """Mean self-information of the listed items, in bits: -log2 of the share of users who have the item.

    One user is added to both counts, so that an item without users gets a finite value.
    """
    return _mean(-np.log2((counts + 1) / (n_users + 1))[lists], lists >= 0)


def popularity(lists: Ints, counts: Offsets) -> PerUser:
    """Mean popularity percentile of the listed items: 1 is the most popular of all, 0.5 the median.

    Equally popular items share the middle of their places. Lists as popular as the catalogue have 0.5.
    """
    ordered = np.sort(counts)
    below, up_to = np.searchsorted(ordered, counts, "left"), np.searchsorted(ordered, counts, "right")
    percentile = (below + up_to) / (2 * max(len(counts), 1))
    return _mean(percentile[lists], lists >= 0)


def intra_list_diversity(lists: Ints, traits: ItemTraits) -> PerUser:
    """1 - the mean cosine of all pairs of listed items; NaN for lists with fewer than two items with features."""
    known = np.asarray(traits.vectors.multiply(traits.vectors).sum(axis=1)).ravel()
    rows, places = np.nonzero(lists >= 0)
    member = sparse.csr_array((np.ones(len(rows)), (rows, lists[rows, places])), shape=(len(lists), len(known)))
    sums = member @ traits.vectors
    own = member @ known
    n = member @ (known > 0).astype(np.float64)
    # the sum over pairs is the square of the sum minus the sum of squares
    pairs = np.asarray(sums.multiply(sums).sum(axis=1)).ravel() - own
    return 1 - _ratio(pairs, np.where(n > 1, n * (n - 1), 0))


def coverage(lists: Ints, n_items: int) -> float:
    """Share of the catalogue that appears in anyone's list."""
    return len(np.unique(lists[lists >= 0])) / n_items


def exposure_gini(lists: Ints, n_items: int) -> float:
    """The Gini coefficient of how often each item is listed: 0 is even, close to 1 is always the same item."""
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    if not shown.any():
        return float("nan")
    ranks = np.arange(1, n_items + 1)
    return float((2 * ranks - n_items - 1) @ shown / (n_items * shown.sum()))
