"""Small, seeded toy datasets made by code, with known right answers.

Each maker returns a :class:`Toy`: a dataset, the same catalogue after it has grown, and questions
with their right answers. Every toy asks for known users, for sessions (a history and nobody's
name) and for cold users (a declared profile and no history), so that any kind of recommender is
asked something that it serves.

====================  ===================================================  =========================
toy                   who likes what                                       who can find it out
====================  ===================================================  =========================
:func:`checkerboard`  user u likes item i where u + i is even              collaborative, content
:func:`chain`         item i is followed by item i + 1                     sequential
:func:`two_tribes`    two tribes like the hits of two halves of the items  all, popularity included
====================  ===================================================  =========================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.data.dataset import Dataset
from cuvee.recommender import Histories, Profile, Queries, Ragged

__all__ = ["TOYS", "Toy", "chain", "checkerboard", "stored_profile", "two_tribes"]

START = 1.6e9
"""Seconds since the epoch at which the toys' events begin."""
DAY = 86400.0


@dataclass(frozen=True)
class Toy:
    """A small dataset, and questions on it with their right answers."""

    name: str
    data: Dataset
    """The data to fit on. Its last users have no events."""
    grown: Catalog
    """The catalogue of ``data`` with a few new items and users at the end, all columns set."""
    queries: Queries
    """Questions: known users, then sessions, then cold users. What was seen is excluded."""
    answers: Ragged
    """For each question the right items, in no order; none of them is excluded."""


def stored_profile(users: Entities, position: int) -> Profile:
    """The profile that a known user's row in the catalogue gives."""
    row = users.row(position)
    return Profile({k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class _Question:
    """One question: the user (-1: unknown), his history, his declared profile, and the right items."""

    answers: Sequence[int]
    user: int = -1
    seen: Sequence[int] = ()
    profile: Profile = field(default_factory=Profile)


def _toy(
    name: str, data: Dataset, grown: Catalog, strangers: Sequence[_Question], right: Sequence[Sequence[int]]
) -> Toy:
    """Questions of the first ``len(right)`` users of the data, then of the unknown users."""
    users = data.catalog.users
    known = [_Question(r, u, data.events.row(u).tolist(), stored_profile(users, u)) for u, r in enumerate(right)]
    asked = [*known, *strangers]
    now = float(data.events.times.max()) + DAY
    stranger = Histories.build([q.seen for q in strangers])
    stored = data.histories(np.arange(len(right)))
    histories = Histories(
        np.concatenate([stored.offsets, stored.offsets[-1] + stranger.offsets[1:]]),
        np.concatenate([stored.items, stranger.items]),
        np.concatenate([stored.weights, stranger.weights]),
        # unknown users click once a minute, in the last hours before the question
        np.concatenate([stored.times, now - DAY / 4 + 60 * stranger.times]),
    )
    queries = Queries.build(
        histories,
        users=[q.user for q in asked],
        profiles=[q.profile for q in asked],
        now=now,
        excluded=Ragged.of([np.unique(np.asarray(q.seen, np.int32)) for q in asked]),
    )
    return Toy(name, data, grown, queries, Ragged.of([sorted(set(q.answers) - set(q.seen)) for q in asked]))


def checkerboard(users: int = 40, items: int = 40, seed: int = 0) -> Toy:
    """User u likes item i where u + i is even, and has seen 60 % of what he likes.

    Columns: items ``title`` (text) and ``colour`` (category); users ``side`` (category).
    Right is everything of the user's colour that he has not seen. All items are equally popular
    but for chance, so popularity finds nothing here.
    """
    rng = np.random.default_rng(seed)
    colours, sides, idle, new = ("black", "white"), ("even", "odd"), 4, 4
    item_frame = pl.DataFrame(
        {
            "id": [f"square-{i}" for i in range(items + new)],
            "title": [f"{colours[i % 2]} square {i}" for i in range(items + new)],
            "colour": [colours[i % 2] for i in range(items + new)],
        }
    )
    user_frame = pl.DataFrame(
        {
            "id": [f"player-{u}" for u in range(users + idle + new)],
            "side": [sides[u % 2] for u in range(users + idle + new)],
        }
    )
    roles = {"title": Role.TEXT, "colour": Role.CATEGORY}
    catalog, grown = _catalogs(
        Entities.of(item_frame, roles), items, Entities.of(user_frame, {"side": Role.CATEGORY}), users + idle
    )
    liked = [np.arange(u % 2, items, 2) for u in range(users)]
    seen = [rng.permutation(mine)[: int(0.6 * len(mine))] for mine in liked]
    data = _dataset(catalog, seen, rng.uniform(0, 100 * DAY, users), 60.0)
    strangers = [
        _Question(range(c, items, 2), seen=rng.permutation(np.arange(c, items, 2))[:6].tolist()) for c in (0, 1) * 6
    ]
    strangers += [
        _Question(range(c, items, 2), profile=Profile({"side": sides[c]}, {"colour": (colours[c],)}))
        for c in (0, 1) * 3
    ]
    return _toy("checkerboard", data, grown, strangers, [mine.tolist() for mine in liked])


def chain(users: int = 60, items: int = 50, length: int = 8, seed: int = 0) -> Toy:
    """Every user walks ``length`` items in the order of their positions, from a random start.

    The last item is followed by the first.

    Columns: items ``title`` (text), ``stretch`` (category: ten neighbours share one) and ``step``
    (number); users ``home`` (category: the stretch where the walk starts). Right is the one item
    that follows the last one seen; for a cold user, any item of the stretch declared.
    """
    rng = np.random.default_rng(seed)
    idle, new = 4, 4
    starts = rng.integers(0, items, users + idle + new)
    item_frame = pl.DataFrame(
        {
            "id": [f"stone-{i}" for i in range(items + new)],
            "title": [f"stone {i}" for i in range(items + new)],
            "stretch": [f"stretch-{i // 10}" for i in range(items + new)],
            "step": np.arange(items + new, dtype=np.float64),
        }
    )
    user_frame = pl.DataFrame(
        {
            "id": [f"walker-{u}" for u in range(users + idle + new)],
            "home": [f"stretch-{s // 10}" for s in starts],
        }
    )
    roles = {"title": Role.TEXT, "stretch": Role.CATEGORY, "step": Role.NUMBER}
    catalog, grown = _catalogs(
        Entities.of(item_frame, roles), items, Entities.of(user_frame, {"home": Role.CATEGORY}), users + idle
    )
    walks = [(start + np.arange(length)) % items for start in starts[:users]]
    data = _dataset(catalog, walks, rng.uniform(0, 100 * DAY, users), 60.0)
    strangers = [_Question([(s + 3) % items], seen=[(s + j) % items for j in range(3)]) for s in range(0, items, 4)]
    strangers += [
        _Question(range(s, min(s + 10, items)), profile=Profile({}, {"stretch": (f"stretch-{s // 10}",)}))
        for s in range(0, items, 10)
    ]
    return _toy("chain", data, grown, strangers, [[int(walk[-1] + 1) % items] for walk in walks])


_GENRES = (("Comedy", "Romance", "Musical"), ("Western", "Noir", "War"))
_NOUNS = (("kiss", "wedding", "garden", "summer"), ("canyon", "shadow", "rifle", "winter"))
_ADJECTIVES = ("first", "last", "silent", "golden", "long", "forgotten")
_OCCUPATIONS = (("artist", "student"), ("farmer", "engineer"))
_AGES = (25.0, 50.0)


def two_tribes(users: int = 90, items: int = 120, vectors: bool = False, seed: int = 0) -> Toy:
    """Two tribes of users like disjoint halves of the items, and in them a third that are hits.

    Columns: items ``title`` (text), ``genres`` (categories) and ``year`` (number), with
    ``vectors`` also ``poster`` (vector, 8 numbers); users ``occupation`` (category) and ``age``
    (number). Genres, words and vectors tell the item's tribe, occupation and age the user's, nine
    times out of ten; hits are newer and much more popular than the rest. Each user has also seen
    one or two items of the other tribe, and not liked them (weight 0).

    Right are the hits of the user's tribe that he has not seen. So popularity finds them by the
    hits, content by the tribe, and whoever learns from both does best.
    """
    rng = np.random.default_rng(seed)
    idle, new = 4, 6
    item_frame = _films(rng, items, new, vectors)
    tribes = rng.permutation(np.arange(users + idle + new) % 2)
    told = np.where(rng.random(len(tribes)) < 0.9, tribes, 1 - tribes)
    user_frame = pl.DataFrame(
        {
            "id": [f"viewer-{u:03d}" for u in range(len(tribes))],
            "occupation": [_OCCUPATIONS[t][rng.integers(2)] for t in told],
            "age": np.round(np.asarray(_AGES)[told] + rng.normal(0, 6, len(tribes))),
        }
    )
    roles = {"title": Role.TEXT, "genres": Role.CATEGORIES, "year": Role.NUMBER} | (
        {"poster": Role.VECTOR} if vectors else {}
    )
    user_roles = {"occupation": Role.CATEGORY, "age": Role.NUMBER}
    catalog, grown = _catalogs(Entities.of(item_frame, roles), items, Entities.of(user_frame, user_roles), users + idle)

    halves = [range(t, items, 2) for t in (0, 1)]
    hits = [half[::3] for half in halves]
    chances = [np.where(np.isin(half, hit), 6.0, 1.0) for half, hit in zip(halves, hits, strict=True)]

    def watch(tribe: int, n: int) -> list[int]:
        chance = chances[tribe] / chances[tribe].sum()
        return [int(i) for i in rng.choice(halves[tribe], n, replace=False, p=chance)]

    seen, weights = [], []
    for tribe in tribes[:users]:
        liked, disliked = watch(tribe, int(rng.integers(10, 18))), watch(1 - tribe, int(rng.integers(1, 3)))
        order = rng.permutation(len(liked) + len(disliked))
        seen.append(np.asarray(liked + disliked)[order])
        weights.append(np.asarray([1.0] * len(liked) + [0.0] * len(disliked))[order])
    data = _dataset(catalog, seen, rng.uniform(0, 300 * DAY, users), DAY, weights)

    strangers = [_Question(hits[t], seen=watch(t, 5)) for t in (0, 1) * 10]
    strangers += [
        _Question(
            hits[t],
            profile=Profile({"occupation": _OCCUPATIONS[t][n % 2], "age": _AGES[t]}, {"genres": (_GENRES[t][n % 3],)}),
        )
        for n, t in enumerate((0, 1) * 6)
    ]
    return _toy("two_tribes", data, grown, strangers, [hits[t] for t in tribes[:users]])


def _films(rng: np.random.Generator, items: int, new: int, vectors: bool) -> pl.DataFrame:
    """Films of two tribes in turn; every third of a tribe is a hit, and so are all new ones."""
    titles, genres, years = [], [], []
    for i in range(items + new):
        tribe, hit = i % 2, i // 2 % 3 == 0
        noun, adjective = _NOUNS[tribe][rng.integers(4)], _ADJECTIVES[rng.integers(len(_ADJECTIVES))]
        titles.append(f"The {adjective} {noun} {i}")
        mine = [str(g) for g in rng.choice(_GENRES[tribe], rng.integers(1, 3), replace=False)]
        genres.append(mine + ["Drama"] * int(rng.random() < 0.3))
        years.append(float(2024 if i >= items else rng.integers(1998, 2020) if hit else rng.integers(1950, 2004)))
    frame = pl.DataFrame(
        {"id": [f"film-{i:03d}" for i in range(items + new)], "title": titles, "genres": genres, "year": years}
    )
    if vectors:
        towards = np.where(np.arange(items + new)[:, None] % 2, 1.0, -1.0) * np.eye(8)[0]
        poster = (towards + rng.normal(0, 0.3, (items + new, 8))).astype(np.float32)
        frame = frame.with_columns(pl.Series("poster", poster, dtype=pl.Array(pl.Float32, 8)))
    return frame


def _catalogs(items: Entities, n_items: int, users: Entities, n_users: int) -> tuple[Catalog, Catalog]:
    """The catalogue of the first n items and users, and the one of all of them."""
    first = Catalog(Entities(items.frame.head(n_items), items.roles), Entities(users.frame.head(n_users), users.roles))
    return first, Catalog(items, users)


def _dataset(
    catalog: Catalog,
    seen: Sequence[np.ndarray[tuple[int], np.dtype[np.integer]]],
    starts: np.ndarray[tuple[int], np.dtype[np.float64]],
    step: float,
    weights: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]] | None = None,
) -> Dataset:
    """Users 0, 1, ... who saw the given items in this order, ``step`` seconds apart from their start on."""
    lengths = [len(row) for row in seen]
    at = np.concatenate([start + step * np.arange(n) for start, n in zip(starts, lengths, strict=True)])
    return Dataset.build(
        catalog,
        np.repeat(np.arange(len(seen)), lengths),
        np.concatenate(seen),
        START + at,
        None if weights is None else np.concatenate(weights),
    )


TOYS: Mapping[str, Callable[[], Toy]] = {"checkerboard": checkerboard, "chain": chain, "two_tribes": two_tribes}
"""The toys by name, as ``RecommenderContract.toy`` takes them."""
