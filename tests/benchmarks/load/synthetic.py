"""A made-up shop of any size: items with words, labels and a year, and events that follow a popularity curve.

How often an item is chosen falls with its rank r as 1 / (r + 20) ** 0.9 (a Zipf-Mandelbrot curve, as in shops
and libraries). Each user likes three of fifty genres, and of three items that come up takes the first
of these. 200 users have a thousand events and 2,000 have ten, the others share what is left, geometrically.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from cuvee import Catalog, Dataset, Entities

__all__ = ["LONG", "SHORT", "Shape", "save"]

LONG, SHORT = 200, 2000
"""Users with a thousand events, and with ten: the first ones, in this order."""
GENRES, WORDS, DAYS = 50, 5000, 90


@dataclass(frozen=True)
class Shape:
    """How large it is."""

    items: int
    users: int
    events: int
    """About so many."""


def _curve(n: int, random: np.random.Generator) -> np.ndarray:
    """float64[n]: chances that add up to 1, of items in no order."""
    chances = (np.arange(n) + 20.0) ** -0.9
    return random.permutation(chances / chances.sum())


def _drawn(cumulated: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """int64[size]: where uniform numbers fall."""
    return np.minimum(np.searchsorted(cumulated, random.random(size)), len(cumulated) - 1)


def save(shape: Shape, folder: Path) -> None:
    """Make it, and write it as ``cuvee import`` would."""
    random = np.random.default_rng(0)
    genre_curve = np.cumsum(_curve(GENRES, random))
    word_curve = np.cumsum(_curve(WORDS, random))
    genres = _drawn(genre_curve, shape.items, random)
    second = _drawn(genre_curve, shape.items, random)
    words = _drawn(word_curve, 3 * shape.items, random).reshape(-1, 3)
    word = pl.Series([f"word{n}" for n in range(WORDS)])
    genre = pl.Series([f"genre {n}" for n in range(GENRES)])
    frame = pl.DataFrame({"id": [f"item-{n:07d}" for n in range(shape.items)]}).with_columns(
        title=pl.concat_str(*(word.gather(words[:, at]) for at in range(3)), separator=" "),
        genres=pl.concat_list(genre.gather(genres), genre.gather(second)),
        year=pl.Series(random.integers(1950, 2026, shape.items).astype(np.float64)),
    )
    counts = np.full(shape.users, 10)
    counts[:LONG] = 1000
    others = shape.users - LONG - SHORT
    left = shape.events - counts[: LONG + SHORT].sum()
    counts[LONG + SHORT :] = random.geometric(min(1.0, others / left), others)
    users = np.repeat(np.arange(shape.users), counts)
    liked = _drawn(genre_curve, 3 * shape.users, random).reshape(-1, 3)
    shown = _drawn(np.cumsum(_curve(shape.items, random)), 3 * len(users), random).reshape(-1, 3)
    wanted = np.zeros(shown.shape, np.bool_)
    for at in range(3):
        wanted |= genres[shown] == liked[users, at][:, None]
    items = shown[np.arange(len(users)), wanted.argmax(axis=1)]
    times = 1.7e9 + random.random(len(users)) * DAYS * 86_400
    catalog = Catalog(Entities.of(frame), Entities.of_ids(f"user-{n:06d}" for n in range(shape.users)))
    Dataset.build(catalog, users, items, times).save(folder)
