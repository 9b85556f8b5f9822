"""Splits of a dataset into training data and held-out items."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.data.dataset import Dataset
from cuvee.recommender import Histories, Ints, Ragged

__all__ = [
    "NewItems",
    "Split",
    "after_time",
    "first_liked",
    "leave_last_out",
    "new_to_them",
    "random_share",
    "without_items",
]


@dataclass(frozen=True)
class Split:
    """The training data, and the held-out items of each test user."""

    train: Dataset
    users: Ints
    """int32[B]: users with something held out and something to learn from."""
    held_out: Ragged
    """B rows of distinct liked items (weight above 0)."""


def _split(data: Dataset, held: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Split:
    train = data.where(~held)
    asked = held & (data.events.weights > 0)
    rows = data.events.rows[asked]
    has_history = train.events.lengths[rows] > 0
    keys = np.unique(rows[has_history] * data.n_items + data.events.items[asked][has_history])
    owners = keys // data.n_items
    users, counts = np.unique(owners, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Split(train, users.astype(np.int32), Ragged(offsets, (keys % data.n_items).astype(np.int32)))


def leave_last_out(data: Dataset, back: int = 0) -> Split:
    """Hold out each user's last event by time (equal times in the order of the import).

    ``back = 1`` drops the last event and holds out the one before it: the validation part of the same
    protocol, which never uses the test events.
    """
    ages = data.events.ages
    if back:
        data = data.where(ages >= back)
        ages = data.events.ages
    return _split(data, ages == 0)


def random_share(data: Dataset, share: float = 0.2, seed: int = 0) -> Split:
    """Hold out a random share of each user's events, rounded to the nearest whole number.

    By user, as the published tables of random 80/20 splits have it: every user keeps his share.
    """
    drawn = np.random.default_rng(seed).random(len(data))
    rows = data.events.rows
    order = np.lexsort((drawn, rows))
    places = np.empty(len(data), np.int64)
    places[order] = np.arange(len(data)) - np.repeat(data.events.offsets[:-1], data.events.lengths)
    return _split(data, places < np.rint(share * data.events.lengths)[rows])


def new_to_them(past: Dataset, later: Dataset, users: Ints) -> Split:
    """Hold out the liked items of ``later`` that the users had not seen in ``past``; users without any are left out."""
    n = past.n_items
    before, after = past.histories(users), later.histories(users)
    liked = after.weights > 0
    keys = np.unique(after.rows[liked] * n + after.items[liked])
    keys = keys[~np.isin(keys, before.rows * n + before.items)]
    counts = np.bincount(keys // n, minlength=len(users))
    kept = np.flatnonzero(counts)
    held_out = Ragged(np.concatenate([[0], np.cumsum(counts)]), (keys % n).astype(np.int32))
    return Split(past, users[kept], held_out.select(kept))


def after_time(data: Dataset, when: float) -> Split:
    """Hold out everything from ``when`` on (seconds since the epoch), also of users who were not there before.

    Unlike in the other splits, a test user may have no training events.
    """
    later = data.where(data.events.times >= when)
    users = np.flatnonzero(later.events.liked > 0).astype(np.int32)
    return new_to_them(data.where(data.events.times < when), later, users)


def first_liked(events: Histories, n: int) -> Histories:
    """Each row's first ``n`` events of weight above 0, and no others."""
    liked = events.weights > 0
    running = np.cumsum(liked)
    before = np.concatenate([[0], running])[events.offsets[:-1]]
    kept = liked & (running - before[events.rows] <= n)
    counts = np.bincount(events.rows[kept], minlength=len(events))
    return Histories(
        np.concatenate([[0], np.cumsum(counts)]), events.items[kept], events.weights[kept], events.times[kept]
    )


@dataclass(frozen=True)
class NewItems:
    """A dataset with some items added after the fit. They are at the end of the catalogue, as new items are."""

    train: Dataset
    """The training data, over a catalogue of the known items only."""
    warm: Split
    """The same events over the grown catalogue, and what was held out among the known items."""
    liked_new: Ragged
    """U rows: the new items that each user likes."""
    n_known: int
    """Items from this position on are new."""


def without_items(data: Dataset, split: Split, share: float, seed: int) -> NewItems:
    """Remove all events of a random ``share`` of the items that have any, within a split of ``data``."""
    rng = np.random.default_rng(seed)
    there = np.unique(data.events.items[data.events.weights > 0])
    new = np.zeros(data.n_items, np.bool_)
    new[rng.permutation(there)[: max(1, round(share * len(there)))]] = True
    order = np.concatenate([np.flatnonzero(~new), np.flatnonzero(new)])
    moved = np.empty(data.n_items, np.int32)
    moved[order] = np.arange(data.n_items, dtype=np.int32)
    n_known = int((~new).sum())

    items = data.catalog.items
    grown = Catalog(replace(items, frame=items.frame[order]), data.catalog.users)
    known = Catalog(replace(items, frame=items.frame[order[:n_known]]), data.catalog.users)
    kept = split.train.where(~new[split.train.events.items])
    events = replace(kept.events, items=moved[kept.events.items])
    fans = data.where(new[data.events.items] & (data.events.weights > 0))
    pairs = np.unique(fans.events.rows * data.n_items + moved[fans.events.items])
    counts = np.bincount(pairs // data.n_items, minlength=data.n_users)
    liked_new = Ragged(np.concatenate([[0], np.cumsum(counts)]), (pairs % data.n_items).astype(np.int32))

    warm = ~new[split.held_out.items]
    left = np.bincount(split.held_out.rows[warm], minlength=len(split.users))
    held_out = Ragged(np.concatenate([[0], np.cumsum(left)]), moved[split.held_out.items[warm]])
    asked = np.flatnonzero((left > 0) & (events.liked[split.users] > 0))
    return NewItems(
        train=Dataset(known, events),
        warm=Split(Dataset(grown, events), split.users[asked], held_out.select(asked)),
        liked_new=liked_new,
        n_known=n_known,
    )
