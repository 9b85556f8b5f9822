"""Reasons for a recommendation: the nearest item of the history, or the feature that contributes most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from cuvee import Entities, Role
from cuvee.recommender import Queries

from cuvee_content.config import ContentConfig
from cuvee_content.space import Space
from cuvee_content.vectors import Vectors

__all__ = ["best_reasons"]

ALIKE = 0.4
"""The least product of two vectors at which two items are called similar."""
LONGEST = 80
"""Characters of a title."""


def best_reasons(
    space: Space,
    vectors: Vectors,
    items: Entities,
    config: ContentConfig,
    queries: Queries,
    asked: npt.NDArray[np.int32],
) -> Sequence[str | None]:
    """One reason for each item asked for, int32[k], of one query; None for none.

    From the history or from the interests, whichever contributes more.
    """
    liked = queries.histories.matrix(len(vectors), config.half_life)
    rows, past_rows = vectors.at(asked), vectors.at(liked.indices)
    # dense over the features, since both sides are a few rows
    features = rows.sparse.toarray()
    likeness = (past_rows.sparse @ features.T).T
    if rows.dense.shape[1]:
        likeness += rows.dense @ past_rows.dense.T
    past = liked.data @ past_rows.sparse
    by_past, wish = np.ones(len(asked), np.bool_), np.zeros(features.shape[1], np.float32)
    if queries.profiles[0]:
        wish_thin, wish_thick = space.profiles(queries.profiles)
        wish = config.interests_weight * wish_thin[0]
        from_wish = features @ wish + config.interests_weight * (rows.dense @ wish_thick[0])
        by_past = likeness @ liked.data >= from_wish
    nearest = _nearest(likeness, liked.indices, liked.data, asked)
    words: list[str | None] = []
    for at, near in enumerate(nearest.tolist()):
        if by_past[at] and near >= 0:
            words.append(f"like {_short(items.title(near))}, {config.history_phrase}")
            continue
        entries = slice(rows.sparse.indptr[at], rows.sparse.indptr[at + 1])
        borne, user = rows.sparse.indices[entries], past if by_past[at] else wish
        words.append(_feature(space, items, borne, rows.sparse.data[entries] * user[borne]))
    return words


def _feature(space: Space, items: Entities, features: npt.NDArray[Any], terms: npt.NDArray[np.float32]) -> str | None:
    """The sparse feature that contributes most, such as "genre: noir"."""
    if not len(terms) or terms.max() <= 0:
        return None
    column, word = space.feature(int(features[terms.argmax()]))
    name = _one_of(column) if items.roles.get(column) == Role.CATEGORIES else column
    return _short(f"{name}: {word}")


def _nearest(
    likeness: npt.NDArray[np.float32],
    liked: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    asked: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """int64[k]: for each item, the similar liked item that contributes most to it, other than itself; or -1.

    ``likeness`` is float32[k, liked].
    """
    if not len(liked):
        return np.full(len(asked), -1)
    spoke = np.where((likeness >= ALIKE) & (liked != asked[:, None]), likeness * weights, 0)
    # rounded, so that of equal ones the first is named, whatever other items are in the batch
    best = np.round(spoke, 5).argmax(axis=1)
    return np.where(spoke.any(axis=1), liked[best], -1)


def _short(words: str) -> str:
    """One line, of bounded length."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _one_of(plural: str) -> str:
    """The singular of a column's name: genres -> genre, categories -> category."""
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural[:-1] if plural.endswith("s") and not plural.endswith("ss") else plural
