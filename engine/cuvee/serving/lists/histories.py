"""What one user did, in positions: what was imported, behind it what is stored, behind that what the request adds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cuvee.data.store.weights import settled, weights_of
from cuvee.queries import History
from cuvee.recommender import Floats, Histories, Ints, Times
from cuvee.rules import Seen, SeenType
from cuvee.serving.lists.users import Known
from cuvee.serving.live.products import Served

__all__ = ["NOTHING", "Events", "from_plugin", "imported", "seen_of", "stored"]


Bytes: TypeAlias = npt.NDArray[np.uint8]


class Piece(NamedTuple):
    """Events of one origin: of what type they are and when they happened, which may be before earlier ones."""

    types: Bytes
    """uint8[n], numbers of :class:`~cuvee.rules.SeenType`."""
    times: Times
    """float64[n]."""


@dataclass(frozen=True, slots=True)
class Events:
    """One user's events, oldest first."""

    items: Ints
    """int32[n]."""
    weights: Floats
    """float32[n]."""
    times: Times
    """float64[n], seconds since the epoch, never falling."""
    behind: tuple[Piece, ...] = ()
    """What is not imported: the last events, in pieces of one origin. All before these are imported ones."""

    def then(self, items: Ints, now: float) -> Events:
        """With items that were touched just now behind them."""
        n = len(items)
        if not n:
            return self
        when = max(now, float(self.times[-1])) if len(self.times) else now
        return Events(
            np.concatenate([self.items, items]),
            np.concatenate([self.weights, np.ones(n, np.float32)]),
            np.concatenate([self.times, np.full(n, when)]),
            (*self.behind, Piece(np.full(n, SeenType.CONTEXT, np.uint8), np.full(n, when))),
        )

    def and_stored(self, items: Ints, weights: Floats, times: Times, types: Bytes) -> Events:
        """With stored events behind them, whenever they happened; dislikes take earlier likes back."""
        if not len(items):
            return self
        weights = np.concatenate([self.weights, weights])
        items = np.concatenate([self.items, items])
        if (weights < 0).any():
            weights = settled(items, weights)
        late = np.maximum.accumulate(np.concatenate([self.times, times]))
        return Events(items, weights, late, (*self.behind, Piece(types, times)))


NOTHING = Events(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float64))


def imported(served: Served, user: int) -> Events:
    """What was imported of the user at a position; -1 is nobody."""
    if user < 0:
        return NOTHING
    events = served.snapshot.data.events
    mine = slice(events.offsets[user], events.offsets[user + 1])
    return Events(events.items[mine], events.weights[mine], events.times[mine])


def stored(served: Served, user: int, known: Known) -> Events:
    """What was imported, and behind it the stored events whose items the catalogue knows.

    Ids become positions once for each change of the user's events or of the catalogue, not once for
    each request.
    """
    history = known.history
    if not len(history):
        return imported(served, user)
    data = served.snapshot.data
    if known.placed is not None and known.placed[0] is data:
        return known.placed[1]
    items = data.catalog.items.positions(history.item_ids)
    there = items >= 0
    weights = weights_of(served.snapshot.product.events, history.types, history.values)
    times = np.asarray(history.times, np.float64)[there] / 1e6
    types = np.asarray(history.types, np.uint8)[there]
    found = imported(served, user).and_stored(items[there], weights[there], times, types)
    known.placed = data, found
    return found


def from_plugin(served: Served, found: History) -> Events:
    """What a plugin's ``load_history`` gave, less the items that the catalogue does not know."""
    items = served.snapshot.data.catalog.items.positions(found.item_ids)
    known = items >= 0
    n = len(items)
    weights = np.ones(n, np.float32) if found.weights is None else np.asarray(found.weights, np.float32)
    times = np.full(n, time.time()) if found.times is None else np.asarray(found.times, np.float64)
    return Events(items[known], weights[known], times[known])


def seen_of(rows: Sequence[Events], histories: Histories) -> Seen:
    """All that B users did, with types and times; ``histories`` holds the same events in B rows."""
    types, times = np.zeros(len(histories.items), np.uint8), histories.times.copy()
    for row, end in zip(rows, histories.offsets[1:].tolist(), strict=True):
        at = end - sum(len(piece.types) for piece in row.behind)
        for piece in row.behind:
            types[at : at + len(piece.types)], times[at : at + len(piece.types)] = piece
            at += len(piece.types)
    return Seen(histories.offsets, histories.items, types, times)
