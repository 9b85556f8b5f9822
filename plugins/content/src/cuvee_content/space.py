"""The feature space: the features of all columns side by side, for items, users and declared interests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from cuvee import Entities, Profile, Role, load_arrays, save_arrays

from cuvee_content.columns import KINDS, Column, Labels, Numbers, ReadyVectors, Words
from cuvee_content.config import ContentConfig
from cuvee_content.sentences import Sentences
from cuvee_content.vectors import Vectors, side_by_side

__all__ = ["Space"]

_KIND_OF: Mapping[Role, type[Column]] = {
    Role.TEXT: Words,
    Role.CATEGORY: Labels,
    Role.CATEGORIES: Labels,
    Role.FLAG: Labels,
    Role.NUMBER: Numbers,
    Role.VECTOR: ReadyVectors,
}


@dataclass(frozen=True)
class Space:
    """Columns by name, each with its weight; sparse ones first, each kind in the catalogue's order."""

    columns: Mapping[str, Column]
    weights: Mapping[str, float]

    @classmethod
    def learn(cls, items: Entities, config: ContentConfig) -> Self:
        """Learn each column that has a weight.

        Raises ValueError for a weight of a column that the items do not have, or that has no
        meaning as content.
        """
        fit = [name for name, role in items.roles.items() if role in _KIND_OF]
        if unknown := sorted(set(config.weights) - set(fit)):
            raise ValueError(f"weights: {', '.join(unknown)} is no column with content; choose from: {', '.join(fit)}")
        learnt: dict[str, Column] = {}
        weights: dict[str, float] = {}
        for name in fit:
            weight = config.weight(name, items.roles[name])
            if weight == 0:
                continue
            kind = _KIND_OF[items.roles[name]]
            if kind is Words and config.encoder is not None:
                kind = Sentences
            column = kind.learn(_values(items.frame[name]), config)
            if column.width:
                learnt[name], weights[name] = column, weight
        order = sorted(learnt, key=lambda name: learnt[name].dense)  # stable
        return cls({name: learnt[name] for name in order}, {name: weights[name] for name in order})

    @property
    def size(self) -> tuple[int, int]:
        """Sparse and dense features."""
        widths = [(c.dense, c.width) for c in self.columns.values()]
        return sum(w for dense, w in widths if not dense), sum(w for dense, w in widths if dense)

    def items(self, items: Entities, first: int = 0) -> Vectors:
        """Vectors of the items from a position on, of length 1 where all columns are known, 0 where none is."""
        rows = items.frame.slice(first)
        n = rows.height
        parts = [
            (self.weights[name], column.encode(_values(rows[name]) if name in rows.columns else [None] * n))
            for name, column in self.columns.items()
        ]
        return side_by_side(parts, n)

    def profiles(self, profiles: Sequence[Profile]) -> tuple[Any, Any]:
        """float32[B, F] and float32[B, D]: the declared interests of each profile, of unit length or zero.

        Interests by name of a column; and attributes whose name is that of a column of labels
        (a user's language, and the items'). Others are ignored.
        """
        thin, thick = (np.zeros((len(profiles), size), np.float32) for size in self.size)
        for b, profile in enumerate(profiles):
            told = {name: _told(profile, name, column) for name, column in self.columns.items()}
            if not any(told.values()):
                continue
            liked = side_by_side(
                [
                    (self.weights[name], column.liked(told[name]) if told[name] else column.encode([None]))
                    for name, column in self.columns.items()
                ],
                1,
            )
            thin[b], thick[b] = liked.sparse.toarray()[0], liked.dense[0]
        lengths = np.hypot(np.linalg.norm(thin, axis=1), np.linalg.norm(thick, axis=1))[:, None]
        scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return thin * scale, thick * scale

    def feature(self, at: int) -> tuple[str, str]:
        """The column and the word of a sparse feature."""
        for name, column in self.columns.items():
            if at < column.width:
                return name, column.word(at)
            at -= column.width
        raise IndexError(at)

    def save(self, directory: Path) -> None:
        """Write ``space.json`` and the arrays of each column, numbered."""
        plain = []
        for at, (name, column) in enumerate(self.columns.items()):
            arrays = column.arrays()
            save_arrays(directory, {f"column-{at}-{key}": array for key, array in arrays.items()})
            plain.append(
                {
                    "name": name,
                    "weight": self.weights[name],
                    "kind": column.kind,
                    **column.to_json(),
                }
            )
        (directory / "space.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote."""
        plain = json.loads((directory / "space.json").read_text(encoding="utf-8"))
        columns: dict[str, Column] = {}
        for at, column in enumerate(plain):
            kind = KINDS[column["kind"]]
            arrays = load_arrays(directory, {f"column-{at}-{key}": said for key, said in kind.stored.items()})
            named = dict(zip(kind.stored, arrays.values(), strict=True))
            columns[column["name"]] = kind.of(column, named)
        return cls(columns, {column["name"]: column["weight"] for column in plain})


def _values(column: pl.Series) -> Any:
    """A column as a list; vectors of one length as an array, since lists of them need much memory."""
    return column.to_numpy() if isinstance(column.dtype, pl.Array) else column.to_list()


def _told(profile: Profile, name: str, column: Column) -> tuple[str, ...]:
    """The values of a column that a profile declares to like."""
    told = tuple(profile.interests.get(name, ()))
    attribute = profile.attributes.get(name) if isinstance(column, Labels) else None
    if isinstance(attribute, tuple):
        return told + attribute
    return (*told, attribute) if isinstance(attribute, str) else told
