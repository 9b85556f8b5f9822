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
from cuvee.recommender import Bools, Floats, Ints, Offsets

__all__ = ["Held", "count_windows", "hold_out", "lead", "lessons", "liked", "token_rows", "windows"]


BEGINNING = 10
"""Up to this many events a user counts as new; also how many events ahead are targets for him."""


@dataclass(frozen=True)
class Held:
    """The training data, and the validation cases of each epoch."""

    train: Histories
    users: Ints
    """int32[V]: rows of ``train``: the history of each validation case."""
    answers: Ints
    """int32[V]: the position that comes next."""


def liked(data: Dataset) -> Histories:
    """The events of weight above 0."""
    return data.where(data.events.weights > 0).events


def hold_out(events: Histories, most: int, seed: int) -> Held:
    """Hold out each user's last event where two or more are left to learn from; validate at most ``most`` users."""
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


def _known(events: Histories, n_items: int) -> Histories:
    kept = events.items < n_items
    counts = np.bincount(events.rows[kept], minlength=len(events))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Histories(offsets, events.items[kept], events.weights[kept], events.times[kept])


def token_rows(events: Histories, length: int, n_items: int | None = None) -> Ints:
    """int32[B, length]: each row's newest tokens, 0 at the left; items at or above ``n_items`` left out."""
    if n_items is not None:
        events = _known(events, n_items)
    tokens = np.zeros((len(events), length), np.int32)
    ages = events.ages
    near = ages < length
    tokens[events.rows[near], length - 1 - ages[near]] = events.items[near] + 1
    return tokens


def age_rows(events: Histories, length: int, n_items: int | None = None) -> Floats:
    """float32[B, length]: how many seconds before the row's newest event each of :func:`token_rows` was."""
    if n_items is not None:
        events = _known(events, n_items)
    times = np.zeros((len(events), length), np.float32)
    ages = events.ages
    near = ages < length
    newest = events.times[np.maximum(events.offsets[1:] - 1, 0)][events.rows[near]]
    times[events.rows[near], length - 1 - ages[near]] = newest - events.times[near]
    return times


def count_windows(events: Histories, length: int, lead: int = 0) -> int:
    """How many windows of tokens an epoch has, apart from one more that a shifted cut may add."""
    return int(_counts(events.lengths, length, length - 1 - lead).sum())


def windows(events: Histories, length: int, batch_size: int, seed: int, epoch: int) -> Iterator[Ints]:
    """int32[batch_size, length] of tokens in random order: every transition once, the newest ones up to twice.

    The newest ``length`` events are always one window, as in serving. Older events are cut into windows at
    places that differ from epoch to epoch. Neighbouring windows share one event, so that each transition
    is learnt. The last batch is filled with empty rows, so that all have one shape.
    """
    for window, _, _ in _windows(events, length, 0, batch_size, seed, epoch):
        yield window


def lessons(
    events: Histories, length: int, batch_size: int, seed: int, epoch: int, look_ahead: float = 0.0
) -> Iterator[tuple[Ints, Floats, Ints]]:
    """Inputs, ages and labels, [batch_size, length] each: what comes after each event, 0 where it is not learnt here.

    Inputs and labels are int32; ages, float32, are seconds before the newest event of the window.

    Windows as in :func:`windows`, of ``length`` inputs, with two differences. A window that begins in the
    middle of a history has no labels in its first :func:`lead` places, where the model would mistake the
    few events that it sees for the beginning of a history. Those transitions are learnt in the neighbouring
    window, which is longer by as much. So a short context in training is always the true beginning of a
    history, and each beginning is in every epoch.

    At a share of ``look_ahead`` of a history's first ten places, the label is one of the next ten events,
    drawn again in each epoch, instead of the very next one: a new user's list should be useful for more
    than one step (Pancha et al., PinnerFormer, KDD 2022, call it the dense all-action loss).
    """
    apart = lead(length)
    rng = np.random.default_rng((seed, epoch, 2))
    for window, ages, middle in _windows(events, length + 1, apart, batch_size, seed, epoch):
        inputs, labels = window[:, :-1], window[:, 1:] * (window[:, :-1] > 0)
        labels[middle, :apart] = 0
        if look_ahead:
            _look_ahead(window, labels, np.flatnonzero(~middle).astype(np.int64), look_ahead, rng)
        yield inputs, ages[:, :-1], labels


def _look_ahead(window: Ints, labels: Ints, rows: Offsets, share: float, rng: np.random.Generator) -> None:
    at = (window[rows] == 0).sum(axis=1)[:, None] + np.arange(BEGINNING)
    reach = np.minimum(BEGINNING, labels.shape[1] - at)
    further = 1 + (rng.random(at.shape) * reach).astype(np.int64)
    row, place = np.nonzero((reach > 0) & (rng.random(at.shape) < share))
    labels[rows[row], at[row, place]] = window[rows[row], at[row, place] + further[row, place]]


def lead(length: int) -> int:
    """How many places of a window of ``length`` inputs are context only, without labels: a fifth."""
    return length // 5


def _counts(lengths: Offsets, length: int, stride: int) -> Offsets:
    """Windows of each row: the newest one, and as many more as its older transitions need."""
    return np.where(lengths < 2, 0, 1 + -(-np.maximum(lengths - length, 0) // stride))


def _windows(
    events: Histories, length: int, lead: int, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[Ints, Floats, Bools]]:
    """Windows whose first ``lead`` transitions are in the neighbour, too; their ages; which begin in mid-history."""
    rng = np.random.default_rng((seed, epoch))
    stride = length - 1 - lead
    lengths = events.lengths
    phase = rng.integers(0, stride, len(lengths))
    phase = np.where(lengths > length, phase, 0)
    counts = _counts(lengths - phase, length, stride) + (phase > 0)
    users = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    # window 0 ends at the end; window 1 up to a stride before it, where the cut of this epoch lies
    back = np.where((nth > 0) & (phase[users] > 0), phase[users] + (nth - 1) * stride, nth * stride)
    ends = events.offsets[1:][users] - back
    begins = events.offsets[:-1][users]
    starts = np.maximum(ends - length, begins)
    order = rng.permutation(len(users))
    columns = np.arange(length)
    for first in range(0, len(order), batch_size):
        picked = order[first : first + batch_size]
        at = ends[picked, None] - length + columns
        tokens = np.zeros((batch_size, length), np.int32)
        inside = at >= starts[picked, None]
        tokens[: len(picked)][inside] = events.items[at[inside]] + 1
        ages = np.zeros((batch_size, length), np.float32)
        newest = events.times[ends[picked] - 1]
        ages[: len(picked)][inside] = (newest[:, None] - events.times[np.where(inside, at, 0)])[inside]
        middle = np.zeros(batch_size, np.bool_)
        middle[: len(picked)] = starts[picked] > begins[picked]
        yield tokens, ages, middle
