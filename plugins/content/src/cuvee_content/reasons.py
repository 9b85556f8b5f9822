"""Why an item fits a user, in words: the nearest item of the history, or the feature that says most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cuvee import Entities, Role
from cuvee.recommender import Queries

from cuvee_content.config import ContentConfig
from cuvee_content.space import Space
from cuvee_content.vectors import Vectors

__all__ = ["best_reason"]

ALIKE = 0.4
"""The product of two vectors from which two items are said to be like each other."""
LONGEST = 80
"""Characters of a title."""


def best_reason(
    space: Space, vectors: Vectors, items: Entities, config: ContentConfig, queries: Queries, item: int
) -> str | None:
    """One reason for one query: the history's or the interests', whichever brought more; None for none."""
    liked = queries.histories.matrix(len(vectors), config.half_life)
    past, past_dense = vectors.mean(liked)
    wish = space.profiles(queries.profiles)
    wish = (config.interests_weight * wish[0], config.interests_weight * wish[1])
    at = np.asarray([[item]])
    from_past = vectors.products_at((past, past_dense), at)[0, 0]
    from_wish = vectors.products_at(wish, at)[0, 0]
    if from_past >= from_wish and (near := _nearest(vectors, liked.indices, liked.data, item)) is not None:
        return f"like {_short(items.title(near))}, {config.history_phrase}"
    user = (past if from_past >= from_wish else wish[0])[0]
    row = vectors.sparse[[item]]
    terms = row.data * user[row.indices]
    if not len(terms) or terms.max() <= 0:
        return None
    column, word = space.feature(int(row.indices[terms.argmax()]))
    name = _one_of(column) if items.roles.get(column) == Role.CATEGORIES else column
    return _short(f"{name}: {word}")


def _nearest(vectors: Vectors, liked: npt.NDArray[Any], weights: npt.NDArray[np.float32], item: int) -> int | None:
    """Of the liked items that are like this one, and not itself, the one that spoke most for it."""
    row = vectors.sparse[[item]].toarray(), vectors.dense[[item]]
    likeness = vectors.products_at(row, liked[None])[0]
    spoke = np.where((likeness >= ALIKE) & (liked != item), likeness * weights, 0)
    return int(liked[spoke.argmax()]) if spoke.any() else None


def _short(words: str) -> str:
    """One line, of bounded length."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _one_of(plural: str) -> str:
    """The name of one label of a column of several: genres -> genre, categories -> category."""
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural[:-1] if plural.endswith("s") and not plural.endswith("ss") else plural
