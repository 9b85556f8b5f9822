"""Events: idempotent by id, in order, counted; under writers who all write the same at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from cuvee.data.store import Store


def test_of_several_with_one_id_the_first_is_stored(store: Store, event, every_event):
    assert store.write_events([event("1", value=3.0), event("1", value=4.0), event("2")]) == [True, False, True]
    assert store.write_events([event("2"), event("3"), event("1", owner="bob")]) == [False, True, False]
    assert [e.value for e in every_event()] == [3.0, 1.0, 1.0]
    assert every_event("bob") == []


def test_an_id_is_unique_within_its_product_alone(store: Store, event, every_event):
    assert store.write_events([event("1"), event("1", product="shoes")]) == [True, True]
    assert [len(every_event(product=p)) for p in ("films", "shoes")] == [1, 1]


def test_what_goes_in_comes_out(store: Store, event, every_event):
    rich = event(
        "ключ", "مستخدم", item_id="\U0001f3ac \u202eabc", type=5, value=4.5, time=-5, received=9,
        session_id="s' OR 1=1", recommendation_id="r", position=3,
    )  # fmt: skip
    store.write_events([rich, event("plain", "مستخدم")])
    assert every_event("مستخدم") == [rich, event("plain", "مستخدم")]


def test_a_history_is_oldest_first_and_equal_times_keep_the_order_of_receipt(store: Store, event):
    store.write_events([event("z", time=5, received=1), event("a", time=5, received=2), event("m", time=1, received=3)])
    history = store.history("films", "ann")
    assert list(history.item_ids) == ["film-m", "film-z", "film-a"]
    assert list(history.times) == [1, 5, 5]
    assert len(store.history("films", "nobody")) == 0


def test_a_dry_write_tells_what_it_would_do_and_does_nothing(store: Store, event, every_event):
    store.write_events([event("1")])
    before = store.state("films", "ann")
    assert store.write_events([event("1"), event("2")], dry=True) == [False, True]
    assert store.state("films", "ann") == before
    assert len(every_event()) == 1


def test_every_change_of_a_user_changes_his_stamp_and_nobody_elses(store: Store, event):
    store.write_events([event("1"), event("2", "bob")])
    stamps, bob = {store.state("films", "ann").stamp}, store.state("films", "bob")
    store.write_events([event("3")])
    stamps.add(store.state("films", "ann").stamp)
    store.write_events([event("3")])
    assert store.state("films", "ann").stamp in stamps, "a duplicate changes nothing"
    store.forget("films", "ann", imported=False)
    assert store.state("films", "ann").stamp is None
    store.write_events([event("4")])
    assert store.state("films", "ann").stamp not in {None, *stamps}
    assert store.state("films", "bob") == bob


def test_many_who_write_the_same_events_at_once_store_each_once(store: Store, event, every_event):
    events = [event(str(n), owner=f"user-{n % 7}", received=n) for n in range(200)]

    def write(seed: int) -> int:
        mine = random.Random(seed).sample(events, len(events))
        return sum(sum(store.write_events(mine[at : at + 20])) for at in range(0, len(mine), 20))

    with ThreadPoolExecutor(6) as pool:
        stored = sum(pool.map(write, range(6)))
    assert stored == 200
    for n in range(7):
        mine = every_event(f"user-{n}")
        row = store.user("films", f"user-{n}")
        assert row is not None
        assert len(mine) == row.event_count == len(range(n, 200, 7))


def test_more_events_than_a_page_come_out_whole(store: Store, event, every_event):
    # the same time for all: only the id tells them apart
    store.write_events([event(f"{n:05d}") for n in range(2500)])
    assert [e.event_id for e in every_event()] == [f"{n:05d}" for n in range(2500)]


def test_old_events_are_pruned_with_the_owners_they_leave_empty(store: Store, event, every_event):
    store.write_events([event("1", time=10), event("2", time=20), event("3", "bob", time=5)])
    assert store.prune("films", 15) == 2
    assert store.prune("films", 15) == 0
    assert [e.event_id for e in every_event()] == ["2"]
    ann = store.user("films", "ann")
    assert ann is not None
    assert ann.event_count == 1
    assert store.user("films", "bob") is None
