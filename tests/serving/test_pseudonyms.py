"""With hashed ids no process of ours keeps an id, and users are found all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cuvee.client import profile
from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.pseudonymised import PERSONAL, pseudonymise
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from .commands import cuvee, done
from .conftest import ENVIRONMENT, HERE, migrated, with_tables
from .scan import places

KEY = "0123456789abcdef" * 2
HASHED = {**ENVIRONMENT, "CUVEE_ID_KEY": KEY}
CONFIG = """
[server.limits]
deadline = "5s"
[store]
url = "{url}"
[privacy]
user_ids = "hashed"
key = "${{CUVEE_ID_KEY}}"
[recommenders.popular]
plugin = "toy_popular"
[recommenders.pairs]
plugin = "toy_pairs"
"""
PRODUCT = 'sources = [{ use = "pairs" }, { use = "popular" }]\n[events]\nexposures = 1.0\n'
PEOPLE = {
    "imported": "Imogen.Imported@example.org", "known": "Kurt.Known@example.org", "stream": "Stella.Stream@example.org",
    "session": "session-of-somebody-secret", "merged": "Mara.Merged@example.org", "told": "Tom.Told@example.org",
    "asked": "Ada.Asked@example.org",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path / 'var/store.db'}")
    return with_tables(request.getfixturevalue("postgres").url, "pseudonyms")


@pytest.fixture
def config(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))
    monkeypatch.setenv("CUVEE_ID_KEY", KEY)
    (tmp_path / "products").mkdir()
    (tmp_path / "products/films.toml").write_text(PRODUCT)
    found = tmp_path / "cuvee.toml"
    found.write_text(CONFIG.format(url=url))
    return found


def event(event_id: str, item: str, **who: str) -> events_pb2.Event:
    return events_pb2.Event(product="films", item_id=item, type=1, event_id=event_id, **who)  # type: ignore[arg-type]


def test_no_file_and_no_row_holds_an_id(config: Path, url: str, tmp_path: Path):
    plays, people = tmp_path / "plays.csv", tmp_path / "people.csv"
    rows = [f"{PEOPLE['imported'] if u == 0 else f'u{u}'},film-{(u + s) % 9},{s}" for u in range(9) for s in range(4)]
    plays.write_text("user,item,time\n" + "\n".join(rows))
    people.write_text(f"id,age\n{PEOPLE['imported']},41\nu1,20\n")
    said = done("import", plays, "--users", people, "--dataset", "films", "--config", config)
    said += done("fit", "--config", config)
    with run_server(config, environment=HASHED) as server:
        client = server.client
        known = client.recommend("films", PEOPLE["imported"])
        assert known.user_known
        assert client.rank("films", ["film-0", "film-8"], PEOPLE["imported"]).user_known
        written = [
            event("1", "film-1", user_id=PEOPLE["known"], session_id=PEOPLE["session"]),
            event("2", "film-2", session_id=PEOPLE["session"]),
            event("3", "film-3", user_id=PEOPLE["merged"] + "\0"),
            event("4", "film-3", user_id=PEOPLE["merged"], session_id="x" * 257),
        ]
        answer = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=written), timeout=5)
        assert [r.problem.field for r in answer.results] == ["", "", "user_id", "session_id"]
        stream = [events_pb2.StreamEventsRequest(event=event("5", "film-5", user_id=PEOPLE["stream"]))]
        assert len(list(client.events.StreamEvents(iter(stream), timeout=5))) == 1
        merge = events_pb2.MergeUsersRequest(product="films", anonymous_id=PEOPLE["session"], user_id=PEOPLE["merged"])
        assert client.events.MergeUsers(merge, timeout=5).moved_event_count == 1
        told = catalog_pb2.User(user_id=PEOPLE["told"], profile=profile({"age": 30}))
        client.catalog.UpsertUser(catalog_pb2.UpsertUserRequest(product="films", user=told), timeout=5)
        batch = [pb.RecommendRequest(user_id=PEOPLE[who]) for who in ("asked", "stream")]
        assert [r.response.user_known for r in sorted(client.batch_recommend("films", batch), key=lambda r: r.index)] \
            == [False, True]  # fmt: skip
        for who in ("known", "stream", "merged", "told"):
            assert client.recommend("films", PEOPLE[who]).user_known, who
        listed = [u.user_id for u in client.catalog.ListUsers(
            catalog_pb2.ListUsersRequest(product="films"), timeout=5).users]  # fmt: skip
        mine = Pseudonyms(KEY.encode()).of(PEOPLE["told"])
        assert mine in listed
        whom = [u.user_id for u in client.recommend_users("films", "film-0", page_size=1000, include_seen=True).users]
        assert sorted(whom) == sorted(listed)
        without = client.recommend_users("films", "film-0", exclude_user_ids=[PEOPLE["told"], PEOPLE["asked"]])
        assert mine not in {u.user_id for u in without.users}
        assert without.unknown_user_ids == [Pseudonyms(KEY.encode()).of(PEOPLE["asked"])]
        for name in (PEOPLE["told"], mine):
            got = client.catalog.GetUser(catalog_pb2.GetUserRequest(product="films", user_id=name), timeout=5)
            assert got.user.user_id == mine
        exported = list(client.catalog.ExportUser(
            catalog_pb2.ExportUserRequest(product="films", user_id=PEOPLE["imported"]), timeout=5))  # fmt: skip
        assert [len(exported), exported[0].user.profile.attributes["age"].number] == [5, 41]
        said += server.log
    said += done("fit", "--config", config)
    said += done("report", "films", "--config", config)
    with run_server(config, environment=HASHED) as server:
        for who in ("imported", "known", "stream", "merged", "told"):
            assert server.client.recommend("films", PEOPLE[who]).user_known, who
            request = catalog_pb2.DeleteUserRequest(product="films", user_id=PEOPLE[who])
            server.client.catalog.DeleteUser(request, timeout=5)
            assert not server.client.recommend("films", PEOPLE[who]).user_known, who
        said += server.log
        for who, user_id in PEOPLE.items():
            assert places(user_id, url, tmp_path / "var") == set(), who
            assert user_id not in said, who
    assert places(mine, url, tmp_path / "var"), "the scan finds what is there"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_ids_of_two_kinds_are_never_mixed(config: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plays = tmp_path / "plays.csv"
    plays.write_text("user,item,time\n" + "\n".join(f"u{u},film-{(u + s) % 5},{s}" for u in range(5) for s in range(3)))
    plain = tmp_path / "plain.toml"
    plain.write_text(config.read_text().replace('"hashed"', '"plain"'))
    done("import", plays, "--dataset", "films", "--config", plain)
    for command in (("fit",), ("import", plays, "--dataset", "films")):
        code, said = cuvee(*command, "--config", config)
        assert code == 2
        assert "holds ids of users that were kept in another way" in said
    done("import", plays, "--dataset", "films", "--replace", "--config", config)
    done("fit", "--config", config)
    with run_server(config, environment=HASHED) as server:
        server.client.events.WriteEvents(
            events_pb2.WriteEventsRequest(events=[event("1", "film-1", user_id="u1")]), timeout=5
        )
    monkeypatch.setenv("CUVEE_ID_KEY", "another " * 5)
    for otherwise in (config, plain):
        code, said = cuvee("store", "prune", "--config", otherwise)
        assert code == 2
        assert "store.db holds ids of users that were kept in another way" in said


def messages() -> list[Descriptor]:
    found: list[Descriptor] = []
    for module in (pb, events_pb2, catalog_pb2):
        found += module.DESCRIPTOR.message_types_by_name.values()
    return found


def test_every_field_of_a_request_that_names_a_person_is_known():
    """Each id field of the proto is either in the list of personal ids, or known not to be one."""
    like = {
        f.name for m in messages() for f in m.fields
        if f.type == f.TYPE_STRING
        and any(word in f.name for word in ("user", "session", "anonymous", "visitor", "bucketing"))
    }  # fmt: skip
    assert like - {"unknown_user_ids"} == PERSONAL


FULL: list[tuple[Callable[[], Message], str]] = [
    (lambda: pb.RecommendRequest(user_id="ann", context_item_ids=["ann"]), 'user_id: "X" context_item_ids: "ann"'),
    (lambda: pb.BatchRecommendRequest(requests=[pb.RecommendRequest(user_id="ann")]), 'requests { user_id: "X" }'),
    (lambda: pb.RecommendUsersRequest(exclude_user_ids=["ann", ""]), 'exclude_user_ids: "X" exclude_user_ids: ""'),
    (lambda: events_pb2.WriteEventsRequest(events=[events_pb2.Event(session_id="ann", item_id="ann")]),
     'events { session_id: "X" item_id: "ann" }'),
    (lambda: catalog_pb2.UpsertUserRequest(user=catalog_pb2.User(user_id="ann")), 'user { user_id: "X" }'),
    (catalog_pb2.UpsertUserRequest, ""),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), FULL)
def test_ids_alone_are_replaced_wherever_they_are(make: Callable[[], Message], expected: str):
    keyed = Pseudonyms(KEY.encode())
    message = make()
    pseudonymise(message, keyed)
    plain = " ".join(str(message).split()).replace(keyed.of("ann"), "X")
    assert plain == expected
