"""Columns of items or users as LightFM's features: one column of weights per label or bin.

In each row that has a value, the weights of a column add up to 1: a film of two genres has half of
each. Missing, unknown and rare values have weight 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from cuvee import Entities, Role
from scipy import sparse

__all__ = ["Column", "Features"]

Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

LABELS = 500
"""The largest number of labels of one column; the most frequent ones are kept."""
BINS = 8
"""Bins of a number column, with equally many rows in each."""
ROLES = (Role.CATEGORY, Role.CATEGORIES, Role.NUMBER, Role.FLAG)


@dataclass(frozen=True)
class Column:
    """One column of the catalogue, and its labels or bins."""

    name: str
    labels: tuple[str, ...]
    """Labels; for a number column, the numbers of its bins."""
    edges: tuple[float, ...] | None = None
    """Rising inner edges of the bins; None for labels."""
    _codes: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {label: at for at, label in enumerate(self.labels)})

    @classmethod
    def of(cls, name: str, role: Role, values: pl.Series) -> Self:
        """Learn the labels or the bins from the values of the fit."""
        if role == Role.NUMBER:
            found = values.cast(pl.Float64).drop_nulls().to_numpy()
            found = found[np.isfinite(found)]
            quantiles = np.quantile(found, np.arange(1, BINS) / BINS) if len(found) else np.empty(0)
            # an edge at the lowest value would leave the bin below it empty
            edges = np.unique(quantiles[quantiles > found.min(initial=np.inf)]).tolist()
            return cls(name, tuple(str(b) for b in range(len(edges) + 1)), tuple(edges))
        counts = dict(_borne(values)["label"].value_counts().iter_rows())
        ranked = sorted(counts, key=lambda label: (-counts[label], label))
        return cls(name, tuple(ranked[:LABELS]))

    def codes(self, value: object) -> list[int]:
        """Which labels a value has; none for one that is missing, unknown or of the wrong kind."""
        if self.edges is None:
            return [self._codes[label] for label in _labels(value) if label in self._codes]
        if value is None:
            return []
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return []
        return [bisect_right(self.edges, number)] if math.isfinite(number) else []

    def codes_of(self, values: pl.Series) -> tuple[Ints, Ints]:
        """The same for a column of the catalogue: int64[m] rows and int64[m] codes, by row."""
        if self.edges is None:
            borne = _borne(values)
            known = borne["label"].replace_strict(
                list(self.labels), list(range(len(self.labels))), default=None, return_dtype=pl.Int64
            )
            found = borne.with_columns(known.alias("code")).drop_nulls("code").sort("row", "code")
            return found["row"].to_numpy().astype(np.int64), found["code"].to_numpy()
        if isinstance(values.dtype, pl.List | pl.Array):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        numbers = values.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        rows = np.flatnonzero(np.isfinite(numbers))
        return rows, np.searchsorted(np.asarray(self.edges), numbers[rows], side="right")


def _borne(values: pl.Series) -> pl.DataFrame:
    """Columns ``row`` and ``label``: which labels each row has, once each; strings as :func:`_labels` makes them."""
    borne = pl.DataFrame({"label": values}).with_row_index("row")
    if isinstance(values.dtype, pl.List | pl.Array):
        borne = borne.explode("label")
    borne = borne.drop_nulls().unique()
    if borne.schema["label"] != pl.String:
        words = borne["label"].unique()
        as_text = pl.DataFrame({"label": words, "text": pl.Series([str(v) for v in words.to_list()], dtype=pl.String)})
        borne = borne.join(as_text, on="label").select("row", pl.col("text").alias("label"))
    return borne


def _labels(value: object) -> Iterable[str]:
    """The labels of a value: of a list its members', once each."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return dict.fromkeys(str(v) for v in value if v is not None)
    return (str(value),)


@dataclass(frozen=True)
class Features:
    """The features of all columns, numbered through."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, entities: Entities, names: Sequence[str] | None, setting: str) -> Self:
        """Features of the named columns (None: every category, number and flag).

        Raises ValueError for a name that is not such a column; ``setting`` names the setting.
        """
        fit = entities.columns(*ROLES)
        if unknown := sorted(set(names or ()) - set(fit)):
            raise ValueError(
                f"{setting}: {', '.join(unknown)} is no category, number or flag of the catalogue; "
                f"choose from: {', '.join(fit) or '(none)'}"
            )
        columns = (
            Column.of(name, entities.roles[name], entities.frame[name]) for name in (fit if names is None else names)
        )
        # a column with a single label carries no information
        return cls(tuple(c for c in columns if len(c.labels) > 1))

    def __len__(self) -> int:
        return sum(len(c.labels) for c in self.columns)

    @property
    def starts(self) -> list[int]:
        """The first feature of each column."""
        return [0, *np.cumsum([len(c.labels) for c in self.columns]).tolist()][:-1] if self.columns else []

    def matrix(self, rows: Sequence[Mapping[str, object]]) -> Matrix:
        """float32[n, F]: the features of rows given as name -> value."""
        places = list(zip(self.columns, self.starts, strict=True))
        indices: list[int] = []
        weights: list[float] = []
        indptr = [0]
        for row in rows:
            for column, start in places if row else ():
                codes = column.codes(row.get(column.name))
                indices += [start + code for code in codes]
                weights += [1 / len(codes) for _ in codes]
            indptr.append(len(indices))
        parts = (np.asarray(weights, np.float32), np.asarray(indices, np.int32), np.asarray(indptr, np.int32))
        return sparse.csr_array(parts, shape=(len(rows), len(self)))

    def of_entities(self, entities: Entities, first: int = 0) -> Matrix:
        """float32[n, F]: the features of the catalogue's rows from ``first`` on."""
        rest = entities.frame.slice(first)
        rows, places, weights = [], [], []
        for column, start in zip(self.columns, self.starts, strict=True):
            if column.name not in entities.roles:
                continue
            row, code = column.codes_of(rest[column.name])
            rows.append(row)
            places.append(start + code)
            weights.append((1 / np.bincount(row, minlength=rest.height)[row]).astype(np.float32))
        shape = (rest.height, len(self))
        if not rows:
            return self.matrix([{}] * rest.height)
        where = (np.concatenate(rows), np.concatenate(places))
        made = sparse.coo_array((np.concatenate(weights), where), shape=shape).tocsr()
        # LightFM's compiled loops only take int32
        return sparse.csr_array((made.data, made.indices.astype(np.int32), made.indptr.astype(np.int32)), shape=shape)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [{"name": c.name, "labels": list(c.labels), "edges": c.edges} for c in self.columns]

    @classmethod
    def from_json(cls, columns: Sequence[Mapping[str, Any]]) -> Self:
        """From what :meth:`to_json` gave."""
        return cls(
            tuple(
                Column(c["name"], tuple(c["labels"]), None if c["edges"] is None else tuple(c["edges"]))
                for c in columns
            )
        )
