"""Splits of a dataset into what is learnt from and what is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cuvee.data.dataset import Dataset
from cuvee.recommender import Ints, Ragged

__all__ = ["Split", "leave_last_out", "random_share"]


@dataclass(frozen=True)
class Split:
    """What is learnt from, and per test user what was held out."""

    train: Dataset
    users: Ints
    """int32[B]: users with something held out and something to learn from."""
    held_out: Ragged
    """B rows of distinct items, liked ones alone (weight above 0)."""


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

    ``back = 1`` leaves the last event out altogether and holds out the one before it: the
    validation part of the same protocol, which never looks at the test.
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
