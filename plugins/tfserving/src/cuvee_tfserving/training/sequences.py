"""Histories as the arrays that networks read: numpy alone, one batch in memory at a time.

Items are *tokens* here: the position plus 1, so that 0 can stand for "nothing". Rows are padded at
the left, oldest first, so that the newest event always stands in the last column. Only liked events
(weight above 0) are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cuvee import Dataset, Histories
from cuvee.recommender import Bools, Ints

__all__ = ["Held", "count_windows", "hold_out", "liked", "token_rows", "windows"]


@dataclass(frozen=True)
class Held:
    """What is trained on, and the questions that each epoch is validated with."""

    train: Histories
    users: Ints
    """int32[V]: rows of ``train``: the history of each question."""
    answers: Ints
    """int32[V]: the position that comes next."""


def liked(data: Dataset) -> Histories:
    """The events of weight above 0."""
    return data.where(data.events.weights > 0).events


def hold_out(events: Histories, most: int, seed: int) -> Held:
    """Take each user's last event away where two or more are left to learn from; ask at most ``most`` users."""
    held = events.lengths >= 3
    train = _less_last(events, held)
    users = np.flatnonzero(held)
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
    return Held(train, users.astype(np.int32), events.items[events.offsets[1:][users] - 1])


def _less_last(events: Histories, held: Bools) -> Histories:
    kept = (events.ages > 0) | ~np.repeat(held, events.lengths)
    offsets = np.concatenate([[0], np.cumsum(events.lengths - held)])
    return Histories(offsets, events.items[kept], events.weights[kept], events.times[kept])


def token_rows(events: Histories, length: int, n_items: int | None = None) -> Ints:
    """int32[B, length]: each row's newest tokens, 0 at the left; items at or above ``n_items`` left out."""
    if n_items is not None:
        kept = events.items < n_items
        counts = np.bincount(events.rows[kept], minlength=len(events))
        events = Histories(
            np.concatenate([[0], np.cumsum(counts)]), events.items[kept], events.weights[kept], events.times[kept]
        )
    tokens = np.zeros((len(events), length), np.int32)
    ages = events.ages
    near = ages < length
    tokens[events.rows[near], length - 1 - ages[near]] = events.items[near] + 1
    return tokens


def count_windows(events: Histories, length: int) -> int:
    """How many windows of tokens an epoch has, but for the one more that a moved cut may add."""
    return int((-(-np.maximum(events.lengths - 1, 0) // (length - 1))).sum())


def windows(events: Histories, length: int, batch_size: int, seed: int, epoch: int) -> Iterator[Ints]:
    """int32[batch_size, length] of tokens in random order: every transition once, the newest ones up to twice.

    The newest ``length`` events always stand in a window of their own: from there the model will be
    asked. What is older is cut into windows at places that differ from epoch to epoch; neighbours
    share one event, so that each transition is learnt. The last batch is filled with empty rows, so
    that all have one shape.
    """
    rng = np.random.default_rng((seed, epoch))
    stride = length - 1
    lengths = events.lengths
    phase = rng.integers(0, stride, len(lengths))
    phase = np.where(lengths > length, phase, 0)
    counts = np.where(lengths < 2, 0, -(-np.maximum(lengths - 1 - phase, 0) // stride) + (phase > 0))
    users = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    # window 0 ends at the end; window 1 so much before it that it holds up to ``phase`` events less
    back = np.where((nth > 0) & (phase[users] > 0), phase[users] + (nth - 1) * stride, nth * stride)
    ends = events.offsets[1:][users] - back
    starts = np.maximum(ends - length, events.offsets[:-1][users])
    order = rng.permutation(len(users))
    columns = np.arange(length)
    for first in range(0, len(order), batch_size):
        picked = order[first : first + batch_size]
        at = ends[picked, None] - length + columns
        tokens = np.zeros((batch_size, length), np.int32)
        inside = at >= starts[picked, None]
        tokens[: len(picked)][inside] = events.items[at[inside]] + 1
        yield tokens
