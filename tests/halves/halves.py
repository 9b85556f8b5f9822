"""A world whose best blend is known: items stand in rows and columns, and each source knows one of them.

A user likes the items that stand in one of his four rows and in one of his four columns: 16 of 144.
``rows`` knows his rows, ``columns`` his columns, so neither finds more than a third of it, and
both together find it all. ``both`` knows everything, ``nothing`` draws lots.

Put this folder on ``PYTHONPATH`` and the recommender is installed, as any plugin is.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import cuvee
import numpy as np
import polars as pl

SIDE, USERS, SEEN = 12, 320, 14


def _tastes() -> tuple[np.ndarray, np.ndarray]:
    """bool[USERS, SIDE] each: whose rows, whose columns."""
    drawn = np.random.default_rng(7)
    rows, columns = (drawn.random((USERS, SIDE)).argsort(axis=1) < 4 for _ in range(2))
    return rows, columns


ROWS, COLUMNS = _tastes()


def world() -> cuvee.Dataset:
    """320 users, each with 14 of the 16 items that he likes, in any order."""
    drawn = np.random.default_rng(8)
    pairs = []
    for user in range(USERS):
        liked = np.flatnonzero(np.outer(ROWS[user], COLUMNS[user]).ravel())
        pairs += [(user, item) for item in drawn.permutation(liked)[:SEEN]]
    # a stranger is known by what is declared of him
    frame = pl.DataFrame({"id": [f"u{n}" for n in range(USERS)], "taste": [str(n) for n in range(USERS)]})
    catalog = cuvee.Catalog(
        cuvee.Entities.of_ids(f"i{n}" for n in range(SIDE * SIDE)),
        cuvee.Entities.of(frame, {"taste": cuvee.Role.CATEGORY}),
    )
    users, items = np.array(pairs).T
    return cuvee.Dataset.build(catalog, users, items, 1e9 + 60.0 * np.arange(len(pairs)))


class HalfConfig(cuvee.RecommenderConfig):
    """What it knows, and of whom."""

    knows: Literal["rows", "columns", "both", "nothing"] = "nothing"
    after: int = 0
    """Draws lots for users with fewer liked events than this,"""
    before: int = 1000
    """and for those with so many or more."""
    mute: bool = False
    """Has no opinion on users without events."""
    inverted: bool = False
    """Scores high what users do not like."""
    sparse: bool = False
    """Has an opinion on the items of a single column alone, one that it knows of the user."""


class Half(cuvee.Recommender[HalfConfig]):
    """Knows one of the two things that decide what users like, with a little noise."""

    Config = HalfConfig
    serves: ClassVar = cuvee.Serves.KNOWN_USER | cuvee.Serves.SESSION | cuvee.Serves.COLD_USER

    def __init__(self, config: HalfConfig) -> None:
        self.config = config
        seed = ["rows", "columns", "both", "nothing"].index(config.knows)
        self.noise = np.random.default_rng(seed).random((USERS, SIDE * SIDE), np.float32)
        self.known = {
            "rows": np.repeat(ROWS, SIDE, axis=1),
            "columns": np.tile(COLUMNS, (1, SIDE)),
            "both": np.einsum("ur,uc->urc", ROWS, COLUMNS).reshape(USERS, -1),
            "nothing": np.zeros((USERS, SIDE * SIDE)),
        }[config.knows]

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: HalfConfig, progress: cuvee.Progress) -> Self:
        return cls(config)

    def save(self, directory: Path) -> None:
        pass

    @classmethod
    def load(cls, directory: Path, config: HalfConfig, catalog: cuvee.Catalog) -> Self:
        return cls(config)

    def _dense(self, queries: cuvee.Queries) -> np.ndarray:
        length = queries.histories.liked
        speaks = (length >= self.config.after) & (length < self.config.before)
        who = np.array([int(profile.attributes["taste"]) for profile in queries.profiles])
        known = 1 - self.known[who] if self.config.inverted else self.known[who]
        scores = 2 * known * speaks[:, None] + self.noise[who]
        if self.config.mute:
            scores[length == 0] = np.nan
        if self.config.sparse:
            scores[np.arange(SIDE * SIDE) % SIDE != COLUMNS[who].argmax(axis=1)[:, None]] = np.nan
        return scores.astype(np.float32)

    def candidates(self, queries: cuvee.Queries, k: int) -> cuvee.Candidates:
        return cuvee.Candidates.top(self._dense(queries), k, queries)

    def score(self, queries: cuvee.Queries, items: np.ndarray) -> np.ndarray:
        found = np.take_along_axis(self._dense(queries), np.maximum(items, 0), axis=1)
        return np.where(items >= 0, found, np.float32(np.nan))


@cuvee.hookimpl
def register_recommenders() -> dict[str, type[Half]]:
    return {"half": Half}
