"""``cuvee import --product`` and ``cuvee export``: Parquet into the store and out of it, on both databases."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee.cli import main
from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow, ItemRow, UserRow
from cuvee.pseudonyms import Pseudonyms

TESTS = Path(__file__).parents[2]
KEY = "k" * 32


@pytest.fixture
def config(tmp_path: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two products over a store with tables and nothing in them; ``films`` has a dataset of one item and one user."""
    monkeypatch.syspath_prepend(str(TESTS / "toyplugin"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CUVEE_TEST_KEY", KEY)
    shutil.copytree(TESTS / "cli/good", tmp_path, dirs_exist_ok=True)
    (tmp_path / "products/toys.toml").rename(tmp_path / "products/films.toml")
    shutil.copy(tmp_path / "products/films.toml", tmp_path / "products/series.toml")
    found = tmp_path / "cuvee.toml"
    found.write_text(found.read_text() + f'\n[store]\nurl = "{url}"\ntimeout = "30s"\n')
    (tmp_path / "one.csv").write_text("user,item,time\nann,alien,1\n")
    (tmp_path / "items.csv").write_text("id,title,year\nalien,Alien,1979\n")
    assert cuvee("import", "one.csv", "--items", "items.csv", "--dataset", "films") == 0
    return found


def cuvee(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


Told = Callable[..., dict[str, Any]]


@pytest.fixture
def told(config: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """What a command says with ``--json``."""

    def run(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        code = cuvee(*arguments, "--json")
        said = capsys.readouterr()
        assert code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    return run


@pytest.fixture
def refused(config: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert cuvee(*arguments) == 2
        return " ".join(capsys.readouterr().err.split())

    return run


def plays(n: int, **columns: object) -> pl.DataFrame:
    """Events of ten users with seven items, a second apart."""
    return pl.DataFrame(
        {
            "user": [f"u{i % 10}" for i in range(n)],
            "item": [f"film-{i % 7}" for i in range(n)],
            "time": range(n),
            **columns,
        }
    )


def counts(store: Store, product: str = "films") -> dict[str, int]:
    """Number of events by user, after checking that each event is right."""
    found = {row.user_id: row.event_count for row in store.users(product, "", 1000)}
    for user, count in found.items():
        assert len(store.history(product, user)) == count
    return found


def test_files_of_ones_own_are_stored_once_however_often_they_are_read(told: Told, store: Store, tmp_path: Path):
    plays(50).with_columns(pl.col("time") * 1000).write_parquet("plays.parquet")
    command = ("import", "plays.parquet", "--product", "films", "--type", "click", "--time-unit", "ms")
    said = told(*command)["interactions"]
    assert (said["read"], said["kept"], said["new"], said["dropped"]) == (50, 50, 50, [])
    assert counts(store) == {f"u{n}": 5 for n in range(10)}
    history = store.history("films", "u3")
    assert (list(history.times), set(history.types)) == ([n * 1_000_000 for n in (3, 13, 23, 33, 43)], {2})
    stamp = store.state("films", "u3").stamp
    again = told(*command)["interactions"]
    assert (again["read"], again["kept"], again["new"]) == (50, 50, 0)
    assert store.state("films", "u3").stamp == stamp, "nothing is new of anybody"
    plays(60, kind=["view", "rating"] * 30, stars=[4.5] * 60).write_parquet("more.parquet")
    more = told("import", "more.parquet", "-p", "films", "--map", "type=kind", "--map", "value=stars")["interactions"]
    assert more["new"] == 60
    assert counts(store) == {f"u{n}": 11 for n in range(10)}


def test_events_without_a_name_belong_to_their_session(told: Told, store: Store):
    frame = pl.DataFrame(
        {
            "user": ["ann", None, "", None],
            "session": ["s1", "s2", "s2", None],
            "item": ["a", "b", "c", "d"],
            "time": [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)] * 4,
            "type": ["VIEW", " view ", "View\t", "view"],
            "event_id": ["1", "2", "2", "4"],
        }
    )
    frame.write_parquet("plays.parquet")
    said = told("import", "plays.parquet", "--product", "films")["interactions"]
    assert (said["read"], said["kept"], said["new"]) == (4, 3, 2)
    assert said["dropped"] == [{"reason": "no user, and no session", "count": 1, "examples": ["plays.parquet:4"]}]
    assert {n: e[0].item_id for n in ("ann", "s2") if (e := store.events_of("films", n))} == {"ann": "a", "s2": "b"}


BAD: dict[str, tuple[dict[str, object], str]] = {
    "no item": ({"item": ""}, "no item"),
    "an item too long": ({"item": "x" * 257}, "item has over 256 characters"),
    "a user with NUL": ({"user": "a\0"}, "user holds the character NUL"),
    "a user too long": ({"user": "\U0001f600" * 257}, "user has over 256 characters"),
    "an event's id too long": ({"event_id": "x" * 129}, "event_id has over 128 characters"),
    "a type of no kind": ({"type": "glance"}, "type is not one of view, click, favourite, purchase, rating, dismiss"),
    "no type": ({"type": None}, "no type"),
    "no time": ({"time": None}, "no time"),
    "a time before all": ({"time": -1.0}, "time is not from 1970 to 9999"),
    "a time that is none": ({"time": float("nan")}, "time is not from 1970 to 9999"),
    "milliseconds": ({"time": 1.7e12}, "time after the year 9999 (is it in milliseconds? --time-unit ms)"),
    "microseconds": ({"time": 1.7e15}, "time after the year 9999 (is it in microseconds? --time-unit us)"),
    "nanoseconds": ({"time": 1.7e18}, "time after the year 9999 (is it in nanoseconds? --time-unit ns)"),
    "a time after all": ({"time": 1e30}, "time after the year 9999"),
    "the future": ({"time": 4e9}, "time is in the future, by over 5 minutes"),
    "an endless value": ({"value": float("inf")}, "value is not finite"),
    "a negative value": ({"value": -1.0}, "value is negative"),
    "a rating without value": ({"type": "rating", "value": None}, "no value, which holds the rating"),
    "nothing bought": ({"type": "purchase", "value": 0.0}, "value of a purchase is not above 0"),
    "a place before the first": ({"position": -1.0}, "position is no whole number from 0 on"),
    "half a place": ({"position": 0.5}, "position is no whole number from 0 on"),
}


def test_a_bad_row_is_told_by_row_and_column_and_its_neighbours_are_stored(told: Told, store: Store, capsys):
    good = {"user": "ann", "item": "a", "type": "view", "time": 1.0, "value": 1.0, "event_id": "1", "position": 0.0}
    rows = [good, *({**good, "event_id": f"bad {n}", **bad} for n, (bad, _) in enumerate(BAD.values()))]
    rows.append({**good, "event_id": "\u202eend"})
    pl.DataFrame(rows).write_parquet("plays.parquet")
    said = told("import", "plays.parquet", "--product", "films")["interactions"]
    assert (said["read"], said["kept"], said["new"]) == (len(rows), 2, 2)
    expected: dict[str, list[str]] = {}
    for line, (_, reason) in enumerate(BAD.values(), start=2):
        expected.setdefault(reason, []).append(f"plays.parquet:{line}")
    examples = {d["reason"]: [e.partition(": ")[0] for e in d["examples"]] for d in said["dropped"]}
    assert examples == expected
    assert {d["reason"]: d["count"] for d in said["dropped"]} == {r: len(e) for r, e in expected.items()}
    assert [e.event_id for e in store.events_of("films", "ann")] == ["1", "\u202eend"]
    assert cuvee("import", "plays.parquet", "--product", "films") == 0
    shown = capsys.readouterr().out
    assert "interactions    23    0              2       21" in shown
    assert "interactions     2  time is not from 1970 to 9999" in shown


GOOD = {"user": "ann", "item": "a", "type": "view", "time": 1.0, "value": 1.0, "event_id": "1", "position": 0.0}
USELESS: dict[str, list[dict[str, object]]] = {
    **{f"events: {why}": [{**GOOD, "event_id": f"bad {n}", **bad} for n in range(3)] for why, (bad, _) in BAD.items()},
    "events: all of them in milliseconds": [{**GOOD, "time": 1_700_000_000_000 + n} for n in range(3)],
    "events: nobody's": [{**GOOD, "user": None} for _ in range(3)],
    "items: no id": [{"item": None, "year": 1999.0}, {"item": "", "year": 2000.0}],
    "items: an id too long": [{"item": "x" * 257}],
    "items: of another type": [{"item": f"new {n}", "year": "soon"} for n in range(3)],
    "items: no flag": [{"item": "new", "available": "maybe"}],
    "users: no id": [{"user": None, "age": 3.0}, {"user": "", "age": 4.0}],
    "users: an id too long": [{"user": "x" * 257, "age": 3.0}],
}
"""Files of which no row can be used."""


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("why", USELESS)
def test_a_file_without_a_usable_row_says_so_each_time(
    why: str, strict: bool, refused: Callable[..., str], store: Store
):
    pl.DataFrame(USELESS[why]).write_parquet("useless.parquet")
    part = why.partition(":")[0]
    given = ("useless.parquet",) if part == "events" else (f"--{part}", "useless.parquet")
    command = ("import", *given, "--product", "films", *(("--strict",) if strict else ()))
    for _ in range(2):
        said = refused(*command)
        assert ("useless.parquet:1: " if strict else "no row of these could be used") in said
    assert counts(store) == {}
    assert store.items_since("films", 0) == []


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_batch_without_a_usable_row_does_not_stop_the_others(
    where: str, told: Told, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cuvee.cli.importing.store_files.EVENTS", 20)
    monkeypatch.setattr("cuvee.cli.importing.store_files.ENTITIES", 20)
    rows = range({"first": 0, "middle": 25, "last": 80}[where], {"first": 45, "middle": 70, "last": 100}[where])
    frame = plays(100).with_row_index()
    frame = frame.with_columns(user=pl.when(pl.col("index").is_in(list(rows))).then(None).otherwise("user"))
    frame.write_parquet("plays.parquet")
    said = told("import", "plays.parquet", "--product", "films", "--type", "view")["interactions"]
    assert (said["read"], said["kept"], said["new"]) == (100, 100 - len(rows), 100 - len(rows))
    assert said["dropped"][0]["reason"] == "no user, and no session"
    assert sum(counts(store).values()) == 100 - len(rows)
    for part in ("item", "user"):
        made = pl.DataFrame({part: [None if n in rows else f"{part}-{n}" for n in range(100)]})
        made.write_parquet("them.parquet")
        said = told("import", f"--{part}s", "them.parquet", "--product", "films")[f"{part}s"]
        assert (said["read"], said["kept"]) == (100, 100 - len(rows))


def test_events_of_items_that_nobody_knows_are_told(told: Told, store: Store, capsys: pytest.CaptureFixture[str]):
    frame = plays(21, type=["view"] * 21)
    frame.with_columns(item=pl.col("item").replace("film-0", "alien")).write_parquet("plays.parquet")
    said = told("import", "plays.parquet", "--product", "films")["interactions"]
    assert (said["kept"], said["events_of_unknown_items"], said["unknown_items"]) == (21, 18, 6)
    capsys.readouterr()
    assert cuvee("import", "plays.parquet", "--product", "films") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "18 of 21 events are of 6 items that are neither imported nor in the store (film-" in shown
    items = pl.DataFrame({"item": [f"film-{n}" for n in range(1, 6)]})
    items.write_parquet("goods.parquet")
    command = ("import", "plays.parquet", "--items", "goods.parquet", "--product", "films")
    said = told(*command)["interactions"]
    assert (said["events_of_unknown_items"], said["unknown_items"]) == (3, 1), "items come before their events"
    store.write_items("films", [("alien", lambda _: ItemRow("alien", deleted=True))])
    assert told(*command)["interactions"]["unknown_items"] == 2
    pl.DataFrame({"item": ["film-6", "alien"]}).write_parquet("goods.parquet")
    assert told(*command)["interactions"]["unknown_items"] == 0
    assert cuvee(*command) == 0
    assert "neither imported" not in capsys.readouterr().out


def test_strict_stops_at_a_bad_row_however_often_it_is_tried(refused: Callable[..., str], store: Store):
    plays(3, type=["view", "glance", "view"]).write_parquet("plays.parquet")
    for _ in range(2):
        said = refused("import", "plays.parquet", "--product", "films", "--strict")
        assert "plays.parquet:2: type 'glance' is not one of view" in said
    assert counts(store) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plays.parquet", "-p", "films"], "has no column that is plainly the type; say --map type=COLUMN"),
        (["plays.parquet", "-p", "films", "--type", "view", "--map", "time=when"], "has no column 'when' for the time"),
        (["plays.parquet", "-p", "films", "--type", "view", "--map", "weight=time"], "events have no 'weight'"),
        (["plays.parquet", "-p", "shoes", "--type", "view"], "no product named 'shoes'"),
        (["plays.parquet", "-p", "films", "-d", "films"], "say --dataset NAME, or --product NAME"),
        (["plays.parquet"], "say --dataset NAME, or --product NAME"),
        (["plays.parquet", "-p", "films", "--repeats", "last"], "--repeats: is for a --dataset"),
        (["one.csv", "-p", "films", "--type", "view"], "one.csv cannot be read as Parquet"),
        (["nowhere", "-p", "films", "--type", "view"], "nowhere is no Parquet file"),
        (["nested.parquet", "-p", "films", "--type", "view"], "column 'item' is of type"),
    ],
)
def test_mistakes_say_what_to_do(refused: Callable[..., str], arguments: list[str], message: str):
    plays(3).write_parquet("plays.parquet")
    plays(1).with_columns(item=pl.struct("item")).write_parquet("nested.parquet")
    assert message in refused("import", *arguments)


def filled(store: Store, event: Callable[..., EventRow], n: int = 200) -> None:
    """Events of every kind with odd ids, items of every type of attribute and one that is deleted, profiles."""
    odd = ["ann", "a,b", '"', "a\nb", "\u202eé", "s1", "NULL", " "]
    store.write_events(
        [
            event(
                f"e{i}", odd[i % 8], session_id="s1" if i % 3 else None, item_id=odd[i % 5], type=1 + i % 6,
                time=1_700_000_000_123_456 + i // 2, value=i / 7, received=2_000 + i // 4,
                recommendation_id=f"r{i}" if i % 2 else None, position=i if i % 5 else None,
            )
            for i in range(n)
        ]
    )  # fmt: skip
    attributes = {"genres": ["Drama", "War"], "year": 1979.0, "available": True, "blurb": 'a "b"\n\u202e'}
    store.write_items("films", [("alien", lambda _: ItemRow("alien", "Alien!", attributes, created=1))])
    store.write_items("films", [("gone", lambda _: ItemRow("gone", "Gone", {"year": 1980.0}, created=1))])
    store.write_items("films", [("gone", lambda old: ItemRow("gone", "Gone", old.attributes, deleted=True))])
    who = UserRow("ann", {"age": 30.5, "town": "Rome", "vip": False}, {"genres": ["War"]})
    store.write_users("films", [("ann", lambda _: who), ("only told of", lambda _: UserRow("only told of"))])


def all_of(store: Store, product: str) -> dict[str, object]:
    users = store.users(product, "", 1000)
    events: list[EventRow] = []
    for user in users:
        page = store.events_of(product, user.user_id)
        events += [EventRow(**{**{k: getattr(e, k) for k in e.__slots__}, "product": "", "received": 0}) for e in page]
    items = {i.item_id: (i.title, i.attributes, i.deleted) for i in store.items_since(product, 0)}
    people = {u.user_id: (u.attributes, u.interests, u.event_count, u.updated is not None) for u in users}
    return {"events": events, "items": items, "users": people}


def test_what_is_exported_and_imported_is_the_same(told: Told, store: Store, event, refused: Callable[..., str]):
    filled(store, event)
    assert told("export", "films", "out") == {
        "product": "films", "folder": "out", "went_on": False, "events": 200, "items": 2, "users": 2
    }  # fmt: skip
    said = told("import", "out", "--product", "series")
    assert {part: (one["read"], one["new"]) for part, one in said.items() if part != "product"} == {
        "items": (2, 2), "users": (2, 2), "interactions": (200, 200)
    }  # fmt: skip
    there, made = all_of(store, "films"), all_of(store, "series")
    assert made["events"] == there["events"]
    assert made["users"] == there["users"]
    assert made["items"] == there["items"]
    assert "holds a whole export of films; choose another folder" in refused("export", "films", "out")
    assert "is not empty" in refused("export", "films", ".")
    assert told("export", "series", "empty too")["events"] == 200
    frame = pl.read_parquet("out/events/*.parquet")
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert set(frame["type"]) == {"view", "click", "favourite", "purchase", "rating", "dismiss"}


def test_items_and_users_of_ones_own_are_upserted_over_what_was_imported(told: Told, store: Store):
    pl.DataFrame(
        {
            "sku": ["alien", "new", "worse", "long"],
            "name": [None, "New", "Worse", "x" * 1025],
            "genres": [["Horror"], ["Drama", None], None, None],
            "year": [None, 2024, None, 2000],
            "shown": [datetime.date(1979, 5, 25)] * 4,
            "attributes": [None, '{"mood": "calm"}', "[]", None],
        }
    ).write_parquet("goods.parquet")
    options = ("--map", "item=sku", "--map", "title=name")
    said = told("import", "--items", "goods.parquet", "--product", "films", *options)["items"]
    assert (said["read"], said["kept"], said["new"]) == (4, 2, 1)
    reasons = {d["reason"]: d["examples"] for d in said["dropped"]}
    assert reasons == {
        "attributes: is no JSON object": ["goods.parquet:3"],
        "title: has 1025 characters; at most 1024 are taken": ["goods.parquet:4"],
    }
    items = {i.item_id: (i.title, i.attributes) for i in store.items_since("films", 0)}
    assert items == {
        "alien": ("Alien", {"year": 1979.0, "genres": ["Horror"], "shown": "1979-05-25"}),
        "new": ("New", {"genres": ["Drama"], "year": 2024.0, "shown": "1979-05-25", "mood": "calm"}),
    }
    pl.DataFrame({"user_id": ["ann", "bob", "", "c"], "age": [3, 4, 5, None]}).write_parquet("people.parquet")
    said = told("import", "--users", "people.parquet", "--product", "films")["users"]
    assert (said["read"], said["kept"], said["dropped"]) == (
        4, 3, [{"reason": "user_id: is required", "count": 1, "examples": ["people.parquet:3"]}],
    )  # fmt: skip
    assert {u.user_id: u.attributes for u in store.users("films", "", 9)} == {
        "ann": {"age": 3.0}, "bob": {"age": 4.0}, "c": {}
    }  # fmt: skip


KILLED = """
import os, signal, sys
from cuvee.cli import main
from cuvee.cli.terminal import progress
from cuvee.cli.importing import store_files as transfer
transfer.EVENTS = 100
from cuvee.data.store.transfer import exports
exports.SIZES = dict.fromkeys(exports.SIZES, 100)
class Deadly(progress.Bars):
    def __call__(self, name):
        def told(done, total, note=""):
            if done >= 300:
                os.kill(os.getpid(), signal.SIGKILL)
        return told
progress.Bars = Deadly
main(sys.argv[1:])
"""


def killed(*arguments: object) -> None:
    """Run a command that is killed when three hundred rows are through, a hundred at a time."""
    path = os.pathsep.join([str(TESTS / "toyplugin"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def test_each_file_has_its_own_name_for_an_id(told: Told, store: Store, refused: Callable[..., str]):
    plays(20).rename({"item": "track"}).write_parquet("plays.parquet")
    pl.DataFrame({"sku": ["i1", "i2"], "nam": ["One", "Two"]}).write_parquet("goods.parquet")
    command = ("import", "plays.parquet", "--items", "goods.parquet", "-p", "films", "--type", "view", "--map")
    names = ("item=track", "--map", "items.item=sku", "--map", "items.title=nam")
    said = told(*command, *names)
    assert (said["interactions"]["kept"], said["items"]["kept"]) == (20, 2)
    assert [(i.item_id, i.title) for i in store.items_since("films", 0)] == [("i1", "One"), ("i2", "Two")]
    assert "'users.user': no file of users is given" in refused(*command, *names, "--map", "users.user=x")
    assert "goods.parquet has no column 'colour'" in refused(*command, *names, "--map", "items.hue=colour")


def test_killed_both_go_on_where_they_were(told: Told, store: Store, event):
    plays(1000, type=["view"] * 1000).write_parquet("plays.parquet")
    command = ("import", "plays.parquet", "--product", "films")
    killed(*command)
    assert sum(counts(store).values()) == 300
    said = told(*command)["interactions"]
    assert (said["before"], said["read"], said["new"]) == (300, 700, 700)
    assert counts(store) == {f"u{n}": 100 for n in range(10)}
    assert told(*command)["interactions"]["before"] == 0, "a whole import is not gone on with"

    killed("export", "films", "out")
    assert sorted(p.name for p in Path("out/events").glob("*.parquet")) == [f"0000{n}.parquet" for n in range(3)]
    Path("out/events/.00003.writing").write_bytes(b"half of a file")
    assert told("export", "films", "out")["went_on"]
    assert told("import", "out", "--product", "series")["interactions"]["new"] == 1000
    assert all_of(store, "series")["events"] == all_of(store, "films")["events"]


def test_ids_are_hashed_on_their_way_in(told: Told, store: Store, config: Path, refused: Callable[..., str]):
    hashed = config.with_name("hashed.toml")
    privacy = '\n[privacy]\nuser_ids = "hashed"\nkey = "${CUVEE_TEST_KEY}"\n'
    hashed.write_text(config.read_text().replace('data = "data"', 'data = "other"') + privacy)
    plays(20, type=["view"] * 20, session=["s1"] * 20).write_parquet("plays.parquet")
    pl.DataFrame({"id": ["u1"], "age": [3]}).write_parquet("people.parquet")
    command = ("import", "plays.parquet", "--users", "people.parquet", "--product", "films", "--config", hashed)
    assert told(*command)["interactions"]["new"] == 20
    pseudonyms = Pseudonyms(KEY.encode())
    assert set(counts(store)) == {pseudonyms.of(f"u{n}") for n in range(10)}
    event = store.events_of("films", pseudonyms.of("u1"))[0]
    assert event.session_id == pseudonyms.of("s1")
    assert told("export", "films", "out", "--config", hashed)["events"] == 20
    assert told("import", "out", "--product", "series", "--config", hashed)["interactions"]["new"] == 20
    assert all_of(store, "series") == all_of(store, "films")
    assert "kept in another way" in refused("import", "out", "--product", "films")
    config.write_text(config.read_text().replace("store.db", "another.db"))
    if "another.db" in config.read_text():
        assert "kept in another way" in refused("import", "out", "--product", "films")
