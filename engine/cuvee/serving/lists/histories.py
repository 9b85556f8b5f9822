"""What one user did, in positions: what was imported, behind it what is stored, behind that what the request adds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from cuvee.data.store.weights import settled, weights_of
from cuvee.queries import History
from cuvee.recommender import Floats, Ints, Times
from cuvee.serving.lists.users import Known
from cuvee.serving.live.products import Served

__all__ = ["NOTHING", "Events", "from_plugin", "imported", "stored"]


@dataclass(frozen=True, slots=True)
class Events:
    """One user's events, oldest first."""

    items: Ints
    """int32[n]."""
    weights: Floats
    """float32[n]."""
    times: Times
    """float64[n], seconds since the epoch, never falling."""

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
        )

    def and_stored(self, items: Ints, weights: Floats, times: Times) -> Events:
        """With stored events behind them, whenever they happened; dislikes take earlier likes back."""
        if not len(items):
            return self
        weights = np.concatenate([self.weights, weights])
        items = np.concatenate([self.items, items])
        if (weights < 0).any():
            weights = settled(items, weights)
        return Events(items, weights, np.maximum.accumulate(np.concatenate([self.times, times])))


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
    found = imported(served, user).and_stored(items[there], weights[there], times)
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
