"""Columns of items or users as LightFM's features: one column of weights per label or bin.

Every column of the catalogue adds up to 1 in each row that has it: a film of two genres is half
of each. Missing, unknown and rare values weigh nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from cuvee import Entities, Role
from scipy import sparse

__all__ = ["Column", "Features"]

Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

LABELS = 500
"""The most labels of one column, by how many rows have them."""
BINS = 8
"""Bins of a number column, with equally many rows in each."""
ROLES = (Role.CATEGORY, Role.CATEGORIES, Role.NUMBER, Role.FLAG)


@dataclass(frozen=True)
class Column:
    """One column of the catalogue, and the labels or bins that it is told apart by."""

    name: str
    labels: tuple[str, ...]
    """Labels; of a number the bins' numbers."""
    edges: tuple[float, ...] | None = None
    """Rising inner edges of the bins; None for labels."""
    _codes: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {label: at for at, label in enumerate(self.labels)})

    @classmethod
    def of(cls, name: str, role: Role, values: Sequence[Any]) -> Self:
        """Learn the labels or the bins from the values of the fit."""
        if role == Role.NUMBER:
            found = np.asarray([v for v in values if v is not None], np.float64)
            found = found[np.isfinite(found)]
            quantiles = np.quantile(found, np.arange(1, BINS) / BINS) if len(found) else np.empty(0)
            # an edge at the lowest value would leave the bin below it empty
            edges = np.unique(quantiles[quantiles > found.min(initial=np.inf)]).tolist()
            return cls(name, tuple(str(b) for b in range(len(edges) + 1)), tuple(edges))
        counts = Counter(label for value in values for label in _labels(value))
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
        """Features by the named columns (None: every one that can be told apart by labels or bins).

        Raises ValueError for a name that is not such a column; ``setting`` says whose it was.
        """
        fit = entities.columns(*ROLES)
        if unknown := sorted(set(names or ()) - set(fit)):
            raise ValueError(
                f"{setting}: {', '.join(unknown)} is no category, number or flag of the catalogue; "
                f"choose from: {', '.join(fit) or '(none)'}"
            )
        columns = (
            Column.of(name, entities.roles[name], entities.frame[name].to_list())
            for name in (fit if names is None else names)
        )
        # a column of one label tells nothing apart
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
        names = [c.name for c in self.columns if c.name in entities.roles]
        rest = entities.frame.slice(first)
        return self.matrix(rest.select(names).to_dicts() if names else [{}] * rest.height)

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
