"""Users: profiles, merges, and being forgotten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cuvee.data.store import Store
from cuvee.data.store.rows import Forgotten, ItemRow, Merged, UserRow, UserState


def having(user_id: str, **attributes: float) -> tuple[str, Callable[[UserRow | None], UserRow]]:
    return user_id, lambda old: UserRow(user_id, {**(old.attributes if old else {}), **attributes})


def test_a_profile_is_changed_from_what_is_stored(store: Store):
    (made, created, changed) = store.write_users("films", [having("ann", age=3.0)])[0]
    assert (created, changed) == (True, True)
    assert made.updated
    assert [(c, d) for _, c, d in store.write_users("films", [having("ann", age=3.0), having("ann", size=1.0)])] == [
        (False, False),
        (False, True),
    ]
    ann = store.user("films", "ann")
    assert ann is not None
    assert dict(ann.attributes) == {"age": 3.0, "size": 1.0}
    assert ann.created == made.created
    assert store.user("shoes", "ann") is None


def test_a_user_with_events_alone_is_there_and_has_no_profile(store: Store, event):
    store.write_events([event("1", received=77)])
    ann = store.user("films", "ann")
    assert ann == UserRow("ann", created=77, event_count=1)
    ((made, created, _),) = store.write_users("films", [having("ann", age=1.0)])
    assert not created
    assert (made.created, made.event_count) == (77, 1)


def test_two_who_create_a_user_at_once_lose_nothing(store: Store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.write_users("films", [having("ann", **{f"a{n}": 1.0})]), range(24)))
    ann = store.user("films", "ann")
    assert ann is not None
    assert len(ann.attributes) == 24


def test_users_are_listed_by_code_point(store: Store):
    names = ["B", "a", "é", "\uffff", "\U0001f600", "a b", "Z", "zz"]
    store.write_users("films", [having(name) for name in names])
    assert [u.user_id for u in store.users("films", "", 100)] == sorted(names)
    assert [u.user_id for u in store.users("films", "a", 2)] == ["a b", "zz"]


def test_a_merge_moves_events_and_the_profiles_keys_that_were_missing(store: Store, event, every_event):
    store.write_events([event("1", "session"), event("2", "session"), event("3", "ann")])
    store.write_users("films", [having("session", age=1.0, size=2.0), having("ann", age=9.0)])
    assert store.merge_users("films", "session", "ann", dry=True) == Merged(2, True)
    assert len(every_event("session")) == 2
    assert store.merge_users("films", "session", "ann") == Merged(2, True)
    ann = store.user("films", "ann")
    assert ann is not None
    assert dict(ann.attributes) == {"age": 9.0, "size": 2.0}
    assert ann.event_count == 3 == len(every_event("ann"))
    assert store.user("films", "session") is None
    assert store.merge_users("films", "session", "ann") == Merged(0, False), "a repeat finds nothing"


def test_a_merge_into_somebody_new_makes_him(store: Store, event):
    store.write_events([event("1", "session", received=5)])
    assert store.merge_users("films", "session", "ann") == Merged(1, False)
    assert store.user("films", "ann") == UserRow("ann", created=5, event_count=1)


def test_to_forget_leaves_nothing_but_a_mark_without_a_name(store: Store, event, every_event):
    store.write_events([event("1"), event("2", "bob")])
    store.write_users("films", [having("ann", age=1.0)])
    assert store.forget("films", "ann", imported=True, dry=True) == Forgotten(1, True, 0)
    assert store.forget("films", "ann", imported=True) == Forgotten(1, True, 0)
    assert store.state("films", "ann") == UserState(None, forgotten=True, revision=0)
    assert store.state("shoes", "ann") == UserState(None, forgotten=False, revision=0)
    assert store.forget("films", "ann", imported=True) == Forgotten(0, False, 0)
    assert store.user("films", "ann") is None
    assert len(every_event("bob")) == 1
    rows = store.database.read(
        lambda c: [
            str(r) for t in ("events", "users", "forgotten") for r in c.exec_driver_sql(f"SELECT * FROM cuvee_{t}")
        ]
    )
    assert len(rows) == 3
    assert not any("ann" in row for row in rows)


def test_to_forget_a_session_takes_it_out_of_the_events_of_others(store: Store, event, every_event):
    store.write_events(
        [event("1", "ann", session_id="s"), event("2", "s", session_id="s"), event("3", "bob", session_id="t")]
    )
    assert store.forget("films", "s", imported=False) == Forgotten(1, False, 1)
    assert [(e.event_id, e.session_id) for who in ("ann", "s", "bob") for e in every_event(who)] == [
        ("1", None), ("3", "t")
    ]  # fmt: skip


STRANGE = [
    "ann",
    "Ann",
    "",
    " ",
    "a'b",
    'a"b',
    "{1}",
    "[x,y]",
    "\\",
    "50%",
    "é",
    "e\u0301",
    "\uffff",
    "\U0001f600",
    "z" * 256,
]


def test_the_states_of_many_are_those_of_each_alone_whatever_their_ids_are(store: Store, event):
    store.write_events([event(f"{n}", name) for n, name in enumerate(STRANGE) if name and n % 3])
    store.write_users("films", [having(name, age=1.0) for name in STRANGE[::5] if name])
    for name in STRANGE[1::4]:
        store.forget("films", name, imported=True)
    store.write_events([event("again", STRANGE[5], product="films")])
    together = store.states("films", STRANGE)
    assert together == {name: store.state("films", name) for name in STRANGE}
    assert {name for name, state in together.items() if state.forgotten} == set(STRANGE[1::4])
    assert together[STRANGE[5]].stamp is not None, "who came back is there, and what was imported of him is not"
    assert together[""] == UserState(None, forgotten=False, revision=0)
    assert set(store.states("shoes", STRANGE).values()) == {UserState(None, forgotten=False, revision=0)}
    assert store.states("films", []) == {}


def test_the_revision_of_the_items_comes_with_the_states(store: Store):
    store.write_items("films", [("f1", lambda _: ItemRow("f1")), ("f2", lambda _: ItemRow("f2"))])
    revision = store.revision("films")
    assert revision > 0
    assert {state.revision for state in store.states("films", ["ann", ""]).values()} == {revision}
    assert store.state("shoes", "ann").revision == 0


def test_the_histories_of_many_are_those_of_each_alone(store: Store, event):
    store.write_events([event(f"{n}", name, time=n) for n, name in enumerate(["ann", "bob", "ann", "cyd"])])
    store.write_users("films", [having("bob", age=1.0), having("dan", age=2.0)])
    names = ["ann", "bob", "cyd", "dan", "eve"]
    assert store.histories("films", names) == {
        name: (store.history("films", name), store.user("films", name)) for name in names
    }
