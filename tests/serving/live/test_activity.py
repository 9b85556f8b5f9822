"""Events gathered since the fit are the same that a new fit would add, in whatever order they arrive."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Role
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow, EventType, UserRow, now
from cuvee.data.store.training import with_stored
from cuvee.product import EventsConfig
from cuvee.serving.live import activity
from cuvee.serving.live.activity import SinceFit
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import migrated

CONFIG = EventsConfig(weights={"view": 0.5, "dismiss": -1.0})
ITEMS = Entities.of_ids(["a", "b", "c"])
USERS = Entities.of(
    pl.DataFrame({"id": ["ann", "bob"], "age": [30.0, 40.0], "street": ["x", "y"]}),
    {"age": Role.NUMBER, "street": Role.OTHER},
)
IMPORTED = Dataset.build(Catalog(ITEMS, USERS), [0, 0, 1], [0, 1, 0], [10.0, 20.0, 30.0])
SECOND = 1_000_000
NAMES = (f"product-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    url = migrated(f"sqlite:///{tmp_path_factory.mktemp('activity') / 'store.db'}")
    return Store(Database(located(url, Path())))


def row(product: str, number: int, owner: str = "ann", item: str = "a", kind: str = "PURCHASE", **more) -> EventRow:
    at = now() - 1000 * SECOND + number
    return EventRow(product, f"e{number}", owner, item, EventType[kind], 1.0, at, at, **more)


def since(store: Store, product: str, until: int = 0) -> SinceFit:
    return SinceFit(store, product, CONFIG, IMPORTED, until)


def counted(found: SinceFit) -> dict[tuple[str, float], float]:
    """Sums by item and time."""
    told = found.activity(ITEMS)
    sums: Counter[tuple[str, float]] = Counter()
    for item, weight, when in zip(ITEMS.ids(told.items), told.weights.tolist(), told.times.tolist(), strict=True):
        sums[item, when] += weight
    return {key: weight for key, weight in sums.items() if abs(weight) > 1e-6}


def fitted(data: Dataset) -> dict[tuple[str, float], float]:
    sums: Counter[tuple[str, float]] = Counter()
    events = data.events
    for item, weight, when in zip(ITEMS.ids(events.items), events.weights.tolist(), events.times.tolist(), strict=True):
        sums[item, when] += weight
    return dict(sums)


deeds = st.tuples(
    st.sampled_from(["ann", "bob", "visitor"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["PURCHASE", "VIEW", "DISMISS"]),
)


@given(batches=st.lists(st.lists(deeds, max_size=8), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_fitted_and_since_are_a_fit_on_all(store: Store, batches: Sequence[Sequence[tuple[str, str, str]]]):
    product, numbers = next(NAMES), itertools.count(1)
    first, *others = [[row(product, next(numbers), *deed) for deed in batch] for batch in batches]
    store.write_events(first)
    until = store.newest_receipt(product)
    before = fitted(with_stored(IMPORTED, store, product, CONFIG, until))
    found = since(store, product, until)
    for batch in others:
        store.write_events(batch)
        found.read()
    both = Counter(before)
    for key, weight in counted(found).items():
        both[key] += weight
    expected = fitted(with_stored(IMPORTED, store, product, CONFIG))
    assert {k: pytest.approx(w, abs=1e-5) for k, w in expected.items() if w} == {
        k: w for k, w in both.items() if abs(w) > 1e-6
    }
    anew = since(store, product, until)
    anew.read()
    assert counted(anew) == pytest.approx(counted(found)), "gathered at once or bit by bit"


def test_each_event_counts_once_also_one_that_is_committed_late(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(activity, "AGAIN", 0.0)
    product = next(NAMES)
    rows = [row(product, 10 * n) for n in range(1, 6)]
    found = since(store, product)
    store.write_events(rows[3:])
    assert found.read()
    assert not found.read()
    store.write_events(rows[:3])  # received before what was seen
    assert found.read()
    assert sum(counted(found).values()) == 5
    assert not found.read()


def test_a_server_whose_clock_is_ahead_hides_nobody_elses_events(store: Store):
    product = next(NAMES)
    found = since(store, product)
    ahead = row(product, 1)
    store.write_events([replace(ahead, received=now() + 3600 * SECOND)])
    assert found.read()
    store.write_events([replace(row(product, 2), received=now())])
    assert found.read()
    assert not found.read()
    assert sum(counted(found).values()) == 2


def test_more_events_than_a_page(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(activity, "PAGE", 4)
    product = next(NAMES)
    # of two processes, some at the very same time
    rows = [replace(row(product, n), received=now() - 100 * SECOND + n // 3) for n in range(1, 24)]
    store.write_events(rows)
    found = since(store, product)
    assert found.read()
    assert sum(counted(found).values()) == 23


def test_many_events_of_an_hour_become_one(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(activity, "MOST", 10)
    product, hour = next(NAMES), 3600 * SECOND
    base = now() // hour * hour
    rows = [
        replace(row(product, n, item="ab"[n % 2]), received=base + n, time=base - n % 4 * hour + n) for n in range(40)
    ]
    store.write_events(rows)
    found = since(store, product)
    found.read()
    told = found.activity(ITEMS)
    assert len(told) == 4
    assert told.weights.tolist() == [10.0] * 4
    assert told.times.max() == max(r.time for r in rows) / 1e6
    store.write_events([replace(row(product, 99), received=base + 99, time=base)])
    found.read()
    assert sum(found.activity(ITEMS).weights) == 41


def test_people_are_told_by_what_many_share_and_not_by_name(store: Store):
    product = next(NAMES)
    store.write_users(product, [("bob", lambda _: UserRow("bob", {"age": 41.0, "street": "z"}))])
    store.write_events([row(product, n, owner) for n, owner in enumerate(["ann", "bob", "visitor", "ann"], 1)])
    found = since(store, product)
    found.read()
    told = found.activity(ITEMS)
    whose = [dict(told.profiles[person].attributes) for person in told.people]
    assert whose == [{"age": 30.0}, {"age": 41.0}, {}, {"age": 30.0}]


def test_what_is_deleted_is_gathered_anew_and_what_is_unknown_waits(store: Store):
    product = next(NAMES)
    store.write_events([row(product, 1, "visitor"), row(product, 2, "ann"), row(product, 3, "ann", item="later")])
    found = since(store, product)
    found.read()
    assert sum(counted(found).values()) == 2
    grown = Entities.of_ids(["a", "b", "c", "later"])
    assert sorted(found.activity(grown).items) == [0, 0, 3]
    store.forget(product, "visitor", imported=False)
    assert found.read()
    assert sum(counted(found).values()) == 1
    store.forget(product, "ann", imported=True)
    store.write_events([row(product, 4, "ann", kind="DISMISS")])
    assert found.read()
    assert counted(found) == {}, "what was imported of him is not used, so there is nothing to take back"


def test_an_empty_store_has_nothing(store: Store):
    found = since(store, next(NAMES))
    found.read()
    assert not found.read()
    assert len(found.activity(ITEMS)) == 0
    assert np.issubdtype(found.activity(ITEMS).items.dtype, np.int32)
