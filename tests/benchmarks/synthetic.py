"""Made-up shops of any size, with a real shop's curve of popularity: for figures of speed and memory.

Not for accuracy. Items are drawn by Zipf's law with a flat top (Mandelbrot), people's activity is
log-normal, and everybody keeps to a few of the genres, so that there is something to be learnt.
The same numbers and seed make the same shop.

    python tests/benchmarks/synthetic.py FOLDER --users 100000 --items 1000000 --events 3000000

writes ``events.parquet``, ``items.parquet`` and ``users.parquet`` for ``cuvee import``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from cuvee import Catalog, Dataset, Entities, Role

__all__ = ["make_dataset", "write_parquet"]

Positions: TypeAlias = npt.NDArray[np.int32]

GENRES, BRANDS, TAGS, WORDS = 40, 2_000, 500, 20_000
EXPONENT, FLAT = 1.05, 50.0
"""The r-th most popular item is chosen in proportion to ``(r + FLAT) ** -EXPONENT``."""
LOYALTY = 0.7
"""The share of a person's events that are of his own genres."""
START, SPAN = 1_700_000_000.0, 180 * 86_400.0
"""Events lie in half a year."""


def _curve(n: int, exponent: float, flat: float) -> npt.NDArray[np.float64]:
    """float64[n]: cumulated shares by Mandelbrot's law, up to 1."""
    shares = np.cumsum((np.arange(n) + flat) ** -exponent)
    return np.asarray(shares / shares[-1])


def _drawn(curve: npt.NDArray[np.float64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.minimum(np.searchsorted(curve, rng.random(n)), len(curve) - 1)


def _lists(drawn: npt.NDArray[np.int64], words: list[str], per_row: int) -> pl.Series:
    flat = pl.Series(words).gather(drawn)
    return flat.reshape((-1, per_row)).arr.to_list()


def make_items(n: int, genres: Positions, rng: np.random.Generator) -> pl.DataFrame:
    """Columns ``id``, ``title`` (text), ``genres`` and ``tags`` (labels), ``brand`` (category), ``price``, ``year``.

    ``genres`` is int32[n], the first genre of each item.
    """
    more = _drawn(_curve(GENRES, 1.0, 2), n, rng)
    names = [f"genre {g}" for g in range(GENRES)]
    words = [f"w{w}" for w in range(WORDS)]
    brands = [f"brand {b}" for b in range(BRANDS)]
    tags = [f"tag {t}" for t in range(TAGS)]
    title = _lists(_drawn(_curve(WORDS, 1.0, 5), 4 * n, rng), words, 4).list.join(" ")
    return pl.DataFrame(
        {
            "id": pl.Series(np.arange(n)).cast(pl.String).str.zfill(8),
            "title": title,
            "genres": _lists(np.column_stack([genres, more]).astype(np.int64).ravel(), names, 2).list.unique(
                maintain_order=True
            ),
            "tags": _lists(_drawn(_curve(TAGS, 1.0, 5), 3 * n, rng), tags, 3).list.unique(maintain_order=True),
            "brand": pl.Series(brands).gather(_drawn(_curve(BRANDS, 1.0, 5), n, rng)),
            "price": np.exp(rng.normal(3, 1, n)).round(2).astype(np.float32),
            "year": rng.integers(1970, 2025, n),
        }
    )


def make_users(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Columns ``id``, ``country`` and ``occupation`` (categories), ``age``."""
    countries, work = [f"country {c}" for c in range(30)], [f"work {w}" for w in range(20)]
    return pl.DataFrame(
        {
            "id": "u" + pl.Series(np.arange(n)).cast(pl.String),
            "country": pl.Series(countries).gather(_drawn(_curve(30, 1.0, 1), n, rng)),
            "occupation": pl.Series(work).gather(_drawn(_curve(20, 0.5, 1), n, rng)),
            "age": rng.integers(16, 80, n),
        }
    )


def make_dataset(users: int, items: int, events: int, seed: int = 0) -> Dataset:
    """A shop of so many users, items and events (whole, before repeats)."""
    rng = np.random.default_rng(seed)
    genres = _drawn(_curve(GENRES, 1.0, 2), items, rng).astype(np.int32)
    activity = np.cumsum(np.exp(rng.normal(0, 1.2, users)))
    user = np.minimum(np.searchsorted(activity / activity[-1], rng.random(events)), users - 1).astype(np.int32)
    # the item at position i has rank[i]: popular ones lie anywhere in the catalogue
    by_rank = rng.permutation(items).astype(np.int32)
    item = by_rank[_drawn(_curve(items, EXPONENT, FLAT), events, rng)]
    loyal = np.flatnonzero(rng.random(events) < LOYALTY)
    own = rng.integers(0, GENRES, (users, 3), dtype=np.int32)
    wanted = own[user[loyal], rng.integers(0, 3, len(loyal))]
    ranked_genres = genres[by_rank]
    for genre in range(GENRES):
        those = by_rank[ranked_genres == genre]
        asking = loyal[wanted == genre]
        if len(those) and len(asking):
            item[asking] = those[_drawn(_curve(len(those), EXPONENT, max(FLAT / GENRES, 1.0)), len(asking), rng)]
    times = START + SPAN * np.sqrt(rng.random(events))  # more and more of them
    catalog = Catalog(
        Entities.of(make_items(items, genres, rng), {"brand": Role.CATEGORY, "title": Role.TEXT}),
        Entities.of(make_users(users, rng), {"country": Role.CATEGORY, "occupation": Role.CATEGORY}),
    )
    return Dataset.build(catalog, user, item, times)


def write_parquet(data: Dataset, folder: Path) -> None:
    """Write ``events.parquet`` (user, item, time), ``items.parquet`` and ``users.parquet``."""
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        {
            "user": data.catalog.users.frame["id"].gather(data.users),
            "item": data.catalog.items.frame["id"].gather(data.events.items),
            "time": pl.Series(data.events.times).cast(pl.Int64),
        }
    ).write_parquet(folder / "events.parquet")
    data.catalog.items.frame.write_parquet(folder / "items.parquet")
    data.catalog.users.frame.write_parquet(folder / "users.parquet")


def main() -> None:
    """Write a shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write_parquet(make_dataset(asked.users, asked.items, asked.events, asked.seed), asked.folder)


if __name__ == "__main__":
    main()
