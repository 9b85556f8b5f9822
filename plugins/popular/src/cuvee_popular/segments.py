"""Segments of users: the values of their columns that popularity is counted by.

Row 0 of every table of segments stands for "no segment": a user whose attribute is missing,
unknown or rare.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Entities, Profile, Role

__all__ = ["Column", "Segments"]

Codes: TypeAlias = npt.NDArray[np.int64]

LABELS = 64
"""The largest number of values of a category column that become segments; those with most users are kept."""
BINS = 5
"""Bins of a number column for which the config has no edges: fifths of the users."""


def band(low: float | None, high: float | None) -> str:
    """The name of a bin, without its upper edge: ``25-34``, ``under 18``, ``56 and over``."""
    if low is None:
        return f"under {high:g}"
    if high is None:
        return f"{low:g} and over"
    whole = float(low).is_integer() and float(high).is_integer()
    if whole and high - low == 1:
        return f"{low:g}"
    return f"{low:g}-{high - 1:g}" if whole else f"{low:g} to {high:g}"


@dataclass(frozen=True)
class Column:
    """One column of the users and its segments."""

    name: str
    labels: tuple[str, ...]
    """Values of a category, or the words of the bins."""
    edges: tuple[float, ...] | None = None
    """Rising edges between the bins of a number; None for a category."""
    _codes: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", {label: at for at, label in enumerate(self.labels)})

    @classmethod
    def categories(cls, name: str, values: Iterable[object]) -> Self:
        """The most frequent values, by frequency and then by name."""
        counts = Counter(str(v) for v in values if v is not None)
        ranked = sorted(counts, key=lambda label: (-counts[label], label))
        return cls(name, tuple(ranked[:LABELS]))

    @classmethod
    def numbers(cls, name: str, values: Sequence[Any], edges: Sequence[float] | None) -> Self:
        """Bins with the given inner edges, or with the quantiles of the values."""
        if edges is None:
            found = np.asarray([v for v in values if v is not None], np.float64)
            found = found[np.isfinite(found)]
            quantiles = np.quantile(found, np.arange(1, BINS) / BINS) if len(found) else np.empty(0)
            edges = np.unique(quantiles[quantiles > found.min(initial=np.inf)]).tolist()
        bounds = [None, *edges, None]
        words = tuple(band(low, high) for low, high in pairwise(bounds)) if edges else ()
        return cls(name, words, tuple(float(e) for e in edges))

    def code(self, value: object) -> int:
        """Which label a value has, or -1; a value of the wrong kind has none."""
        if value is None or isinstance(value, tuple) or not self.labels:
            return -1
        if self.edges is None:
            return self._codes.get(str(value), -1)
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return -1
        return bisect.bisect_right(self.edges, number) if np.isfinite(number) else -1


@dataclass(frozen=True)
class Segments:
    """The segments of all columns, numbered through: column 0 from row 1 on, then column 1, ..."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, users: Entities, names: Sequence[str] | None, edges: Mapping[str, Sequence[float]]) -> Self:
        """Segments by the named columns of the users (None: every category and number).

        Raises ValueError for a name that is not such a column.
        """
        fit = users.columns(Role.CATEGORY, Role.NUMBER)
        if unknown := sorted(set(names or ()) - set(fit)):
            raise ValueError(
                f"segments: {', '.join(unknown)} is no category or number of the users; choose from: {', '.join(fit)}"
            )
        columns = []
        for name in fit if names is None else names:
            values = users.frame[name].to_list()
            if users.roles[name] == Role.NUMBER:
                columns.append(Column.numbers(name, values, edges.get(name)))
            else:
                columns.append(Column.categories(name, values))
        return cls(tuple(c for c in columns if len(c.labels) > 1))

    def __len__(self) -> int:
        return 1 + sum(len(c.labels) for c in self.columns)

    @property
    def starts(self) -> list[int]:
        """The first row of each column."""
        return list(accumulate((len(c.labels) for c in self.columns), initial=1))[:-1]

    def of_users(self, users: Entities) -> Codes:
        """int64[U, C]: each user's row in each column, 0 for none."""
        rows = np.zeros((len(users), len(self.columns)), np.int64)
        for c, (column, start) in enumerate(zip(self.columns, self.starts, strict=True)):
            rows[:, c] = [
                start + column.code(v) if column.code(v) >= 0 else 0 for v in users.frame[column.name].to_list()
            ]
        return rows

    def of_profiles(self, profiles: Sequence[Profile]) -> Codes:
        """int64[B, C]: the row of each profile in each column, 0 for none."""
        rows = np.zeros((len(profiles), len(self.columns)), np.int64)
        places = list(enumerate(zip(self.columns, self.starts, strict=True)))
        for b, profile in enumerate(profiles):
            if not profile.attributes:
                continue
            for c, (column, start) in places:
                code = column.code(profile.attributes.get(column.name))
                if code >= 0:
                    rows[b, c] = start + code
        return rows

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
