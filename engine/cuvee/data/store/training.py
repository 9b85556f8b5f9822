"""The data to fit on: the imported dataset, updated with the store's items, users and events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Chronology, Dataset
from cuvee.data.store.catalogue.overlay import overlaid
from cuvee.data.store.rows import ItemRow
from cuvee.data.store.store import Store
from cuvee.data.store.transfer.bulk import LATEST, read_events
from cuvee.data.store.weights import settled, weights_of
from cuvee.product import EventsConfig
from cuvee.queries import Bools, Floats, Histories

__all__ = ["with_stored"]

PAGE = 1000


def with_stored(data: Dataset, store: Store, product: str, config: EventsConfig, until: int = LATEST) -> Dataset:
    """A dataset with the store's items, users and events; unchanged where the store has nothing of the product.

    Forgotten users are left out, so positions of users differ from those of ``data``; those of items do
    not. Events of unknown items are left out. As in serving, a user's stored events come after his
    imported ones, and dislikes cancel earlier likes. ``until``, in microseconds, is the time of receipt
    up to which events are used.
    """
    forgotten = store.forgotten(product)
    rows = store.items_since(product, 0)
    events = read_events(store.database, product, until)
    gone = np.array([forgotten(user_id) for user_id in data.catalog.users.frame["id"]], np.bool_)
    users = _users(data.catalog.users, gone, store, product)
    if not rows and not len(events) and users is data.catalog.users:
        return data
    items = overlaid(data.catalog.items, rows)
    place = users.positions(data.catalog.users.frame["id"].to_list())
    place[gone] = -1  # also those of a user who has come back since: he counts as new
    old = place[data.users]
    kept = old >= 0
    user, item = users.positions(events["owner"].to_list()), items.positions(events["item_id"].to_list())
    there = (user >= 0) & (item >= 0)
    last = np.full(len(users), -np.inf)
    np.maximum.at(last, old[kept], data.events.times[kept])
    times = np.maximum(events["time"].to_numpy()[there] / 1e6, last[user[there]])
    weights = weights_of(config, events["type"].to_numpy(), events["value"].to_numpy())[there]
    made = Dataset.build(
        Catalog(items, users),
        np.concatenate([old[kept], user[there]]),
        np.concatenate([data.events.items[kept], item[there]]),
        np.concatenate([data.events.times[kept], times]),
        np.concatenate([data.events.weights[kept], weights]),
        data.chronology if len(data) else Chronology.TIMES,
    )
    return replace(made, events=replace(made.events, weights=_settled(made.events)))


def _users(imported: Entities, gone: Bools, store: Store, product: str) -> Entities:
    """Imported users that were not forgotten, with their stored profiles, then those that only the store has."""
    users = imported.without(gone) if gone.any() else imported
    rows, after = [], ""
    while page := store.users(product, after, PAGE):
        after = page[-1].user_id
        rows += [
            ItemRow(row.user_id, "", row.attributes)
            for row in page
            if row.updated is not None or users.position(row.user_id) < 0
        ]
    return overlaid(users, rows)


def _settled(events: Histories) -> Floats:
    """float32[n]: the weights, none below 0."""
    if not (events.weights < 0).any():
        return events.weights
    weights = events.weights.copy()
    for user in np.unique(events.rows[weights < 0]):
        mine = slice(events.offsets[user], events.offsets[user + 1])
        weights[mine] = settled(events.items[mine], weights[mine])
    return weights
