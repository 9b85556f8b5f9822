"""Items: revisions that a reader can follow without missing a row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cuvee.data.store import Store
from cuvee.data.store.rows import ItemRow


def titled(item_id: str, title: str, **changes: bool) -> tuple[str, Callable[[ItemRow | None], ItemRow | None]]:
    return item_id, lambda old: ItemRow(item_id, title, {"year": 1990.0, "genres": ["a", "b"]}, **changes)


def test_an_item_is_created_changed_and_left_alone(store: Store):
    first, second = store.write_items("films", [titled("alien", "Alien"), titled("brazil", "Brazil")])
    assert first and second
    assert (first.created, first.changed, first.row.born, second.row.born) == (True, True, 1, 2)
    assert store.revision("films") == 1
    same, other = store.write_items("films", [titled("alien", "Alien"), titled("brazil", "Brazil!")])
    assert same and other
    assert (same.changed, other.changed, other.created) == (False, True, False)
    assert other.row.born == 2, "an item keeps its place"
    assert store.revision("films") == 2
    assert [r.title for r in store.items_since("films", 1)] == ["Brazil!"]
    assert [r.title for r in store.items_since("films", 0)] == ["Alien", "Brazil!"]
    assert store.item("films", "alien") == first.row
    assert store.item("films", "alien").attributes == {"year": 1990.0, "genres": ["a", "b"]}
    assert store.revision("shoes") == 0


def test_a_deleted_item_is_a_change_like_any_other(store: Store):
    store.write_items("films", [titled("alien", "Alien")])
    (gone,) = store.write_items("films", [titled("alien", "Alien", deleted=True)])
    assert gone
    assert gone.row.deleted
    assert [r.deleted for r in store.items_since("films", 1)] == [True]
    (back,) = store.write_items("films", [titled("alien", "Alien")])
    assert back
    assert back.created
    assert back.row.born == 1


def test_a_refused_change_and_a_dry_write_leave_no_trace(store: Store):
    assert store.write_items("films", [("alien", lambda old: None)]) == [None]
    (would,) = store.write_items("films", [titled("alien", "Alien")], dry=True)
    assert would
    assert would.created
    assert store.item("films", "alien") is None
    assert store.revision("films") == 0


def test_a_reader_who_follows_the_revisions_misses_nothing(store: Store):
    seen: dict[str, int] = {}
    at = 0
    with ThreadPoolExecutor(6) as pool:
        writing = [
            pool.submit(store.write_items, "films", [titled(f"film-{n}-{m}", "x") for m in range(3)]) for n in range(40)
        ]
        while True:
            done = all(w.done() for w in writing)
            for row in store.items_since("films", at):
                assert row.item_id not in seen
                seen[row.item_id] = row.born
                at = max(at, row.revision)
            if done:
                break
        assert all(w.result() for w in writing)
    assert len(seen) == 120
    assert sorted(seen.values()) == list(range(1, 121))
