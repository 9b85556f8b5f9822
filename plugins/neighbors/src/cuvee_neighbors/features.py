"""Similarity of items by their labels, as additional pairs for EASE.

EASE's X'X counts how often two items are liked together. To it is added weight * F F', where each item's
row of F has its labels, multi-hot, by inverse document frequency (Spärck Jones 1972), at unit length.
The effect is that of additional users, each of whom likes all items with a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from cuvee import Entities, Role
from scipy import sparse

__all__ = ["likeness"]

Floats: TypeAlias = npt.NDArray[np.float32]


def likeness(items: Entities, weights: Mapping[str, float]) -> Floats:
    """float32[N, N]: the sum over columns of labels of weight (in events) times the cosine of two items.

    Raises ValueError for a column that the items do not have, or that holds no labels.
    """
    columns = [name for name, role in items.roles.items() if role in (Role.CATEGORY, Role.CATEGORIES)]
    if unknown := sorted(set(weights) - set(columns)):
        raise ValueError(f"features: {', '.join(unknown)} is no column of labels; choose from: {', '.join(columns)}")
    total = np.zeros((len(items), len(items)), np.float32)
    for name, weight in weights.items():
        labels = _unit_rows(items.frame[name])
        total += (np.float32(weight) * (labels @ labels.T)).toarray()
    return total


def _unit_rows(column: pl.Series) -> sparse.csr_array[Any, tuple[int, int]]:
    """float32[N, labels]: the labels of each item, rarer ones counting more; of length 1, or 0 without any."""
    borne = pl.DataFrame({"label": column}).with_row_index("item")
    if isinstance(column.dtype, pl.List):
        borne = borne.explode("label")
    borne = (
        borne.drop_nulls()
        .unique()
        .with_columns(
            (((1 + len(column)) / (1 + pl.len().over("label"))).log() + 1).alias("idf"),
            pl.col("label").rank("dense").alias("place"),
        )
    )
    lengths = (pl.col("idf") ** 2).sum().over("item").sqrt()
    rows = borne.with_columns((pl.col("idf") / lengths).cast(pl.Float32)).sort("item", "place")
    places = (rows["item"].to_numpy(), rows["place"].to_numpy() - 1)
    width = rows["label"].n_unique()
    return sparse.csr_array((rows["idf"].to_numpy(), places), shape=(len(column), width))
