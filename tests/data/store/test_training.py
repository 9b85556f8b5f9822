"""What is learnt from: imported and stored together, as they are served together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.data.store import Store
from cuvee.data.store.rows import ItemRow, UserRow
from cuvee.data.store.training import with_stored
from cuvee.data.store.transfer.bulk import read_events
from cuvee.product import EventsConfig

DISMISS = 6


def imported() -> Dataset:
    """Ann liked Alien at 10 s and Brazil at 20 s, Bob Brazil at 30 s."""
    items = Entities.of(pl.DataFrame({"id": ["alien", "brazil"], "title": ["Alien", "Brazil"]}))
    users = Entities.of(pl.DataFrame({"id": ["ann", "bob"], "age": [30.0, 40.0]}))
    return Dataset.build(Catalog(items, users), [0, 0, 1], [0, 1, 1], [10.0, 20.0, 30.0])


def told(data: Dataset) -> dict[str, list[tuple[str, float, float]]]:
    """Per user the events: item, weight, seconds."""
    return {
        user: [
            (data.catalog.items.ids([i])[0], float(w), float(t))
            for i, w, t in zip(
                data.events.row(u),
                data.events.weights[data.events.offsets[u] : data.events.offsets[u + 1]],
                data.events.times[data.events.offsets[u] : data.events.offsets[u + 1]],
                strict=True,
            )
        ]
        for u, user in enumerate(data.catalog.users.frame["id"])
    }


def test_a_store_without_anything_changes_nothing(store: Store):
    data = imported()
    assert with_stored(data, store, "films", EventsConfig()) is data


def test_stored_events_come_behind_imported_ones_and_new_users_behind_old(store: Store, event: Callable):
    store.write_items("films", [("cube", lambda _: ItemRow("cube", "Cube"))])
    second = 1_000_000
    store.write_events(
        [
            event("1", "ann", item_id="cube", time=15 * second),  # before her last imported one
            event("2", "zoe", item_id="cube", time=5 * second),
            event("3", "zoe", item_id="alien", time=4 * second),
            event("4", "bob", item_id="nobody knows it", time=99 * second),
            event("5", "bob", item_id="cube", time=50 * second, product="shoes"),
        ]
    )
    made = with_stored(imported(), store, "films", EventsConfig(weights={"view": 0.5}))
    assert made.catalog.items.frame["id"].to_list() == ["alien", "brazil", "cube"]
    assert told(made) == {
        "ann": [("alien", 1.0, 10.0), ("brazil", 1.0, 20.0), ("cube", 0.5, 20.0)],
        "bob": [("brazil", 1.0, 30.0)],
        "zoe": [("alien", 0.5, 4.0), ("cube", 0.5, 5.0)],
    }


def test_dislikes_take_back_what_was_imported(store: Store, event: Callable):
    store.write_events([event("1", "ann", item_id="alien", type=DISMISS, time=60_000_000)])
    made = with_stored(imported(), store, "films", EventsConfig())
    assert told(made)["ann"] == [("alien", 0.0, 10.0), ("brazil", 1.0, 20.0), ("alien", 0.0, 60.0)]


def test_who_is_forgotten_is_left_out(store: Store, event: Callable):
    store.forget("films", "ann", imported=True)
    made = with_stored(imported(), store, "films", EventsConfig())
    assert told(made) == {"bob": [("brazil", 1.0, 30.0)]}
    assert made.catalog.users.row(0) == {"age": 40.0}
    store.write_events([event("1", "ann", item_id="alien", time=70_000_000)])
    again = with_stored(imported(), store, "films", EventsConfig())
    assert told(again) == {"bob": [("brazil", 1.0, 30.0)], "ann": [("alien", 1.0, 70.0)]}
    assert again.catalog.users.row(1) == {}, "what was imported of her stays forgotten"


def test_stored_profiles_replace_imported_ones(store: Store, event: Callable):
    store.write_users("films", [("ann", lambda _: UserRow("ann", {"age": 31.0, "town": "Rome"}))])
    store.write_events([event("1", "bob", item_id="alien")])
    users = with_stored(imported(), store, "films", EventsConfig()).catalog.users
    assert [users.row(0), users.row(1)] == [{"age": 31.0, "town": "Rome"}, {"age": 40.0}]


def test_many_events_come_whole_with_every_character(store: Store, event: Callable):
    odd = ['"', ",", "a\nb", "\\N", "\\.", "é\u202e", " "]
    rows = [event(f"{n}", odd[n % 7], item_id=odd[n % 5], time=n, value=n / 3) for n in range(3000)]
    store.write_events(rows)
    frame = read_events(store.database, "films")
    assert frame["owner"].to_list() == [row.owner for row in rows]
    assert frame["item_id"].to_list() == [row.item_id for row in rows]
    assert np.array_equal(frame["value"].to_numpy(), np.arange(3000) / 3)
    assert not len(read_events(store.database, "nothing"))


def test_a_data_set_takes_the_positions_of_a_catalogue(store: Store, event: Callable):
    store.forget("films", "ann", imported=True)
    store.write_events([event("1", "zoe", item_id="alien")])
    fitted = with_stored(imported(), store, "films", EventsConfig()).catalog
    placed = imported().placed(fitted)
    assert placed.catalog.users.frame["id"].to_list() == ["bob", "zoe", "ann"]
    assert told(placed) == {**told(imported()), "zoe": []}
