"""After DeleteUser a scan of every table, file and log finds the id where the answer says, and after a fit nowhere.

Two servers over one store: the second has what it knows of the person in its cache. SQLite's file is
scanned with its write-ahead log and its free pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client, profile
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2

from ..commands import done
from ..conftest import ENVIRONMENT, HERE, migrated, with_tables
from ..scan import places
from ..test_pseudonyms import PRODUCT, event

CONFIG = """
[server.limits]
deadline = "5s"
[store]
url = "{url}"
[recommenders.popular]
plugin = "toy_popular"
[recommenders.pairs]
plugin = "toy_pairs"
"""
IMPORTED, KNOWN, VISITOR = "Imogen.Imported@example.org", "Kurt.Known@example.org", "session-of-the-visitor"
OTHER_VISITOR = "session-of-somebody-else"
STAYS = "Stefan.Stays@example.org"
PLACE = pb.ClearedPlace


@dataclass(frozen=True)
class World:
    """Where it all lies."""

    url: str
    config: Path
    var: Path
    logs: list[str]

    def where(self, user_id: str) -> set[str]:
        """Every place where an id is found."""
        found = places(user_id, self.url, self.var)
        return found | ({"log"} if any(user_id in log for log in self.logs) else set())

    def run(self, *arguments: object) -> None:
        self.logs.append(done(*arguments, "--config", self.config))

    def versions(self, product: str) -> list[str]:
        return sorted(folder.name for folder in (self.var / "artifacts" / product).iterdir())


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))
    if request.param == "sqlite":
        url = migrated(f"sqlite:///{tmp_path / 'var/store.db'}")
    else:
        url = with_tables(request.getfixturevalue("postgres").url, "forgotten")
    (tmp_path / "products").mkdir()
    for name in ("films", "series"):
        (tmp_path / f"products/{name}.toml").write_text('dataset = "films"\n' + PRODUCT)
    config = tmp_path / "cuvee.toml"
    config.write_text(CONFIG.format(url=url))
    found = World(url, config, tmp_path / "var", [])
    who = [IMPORTED, STAYS, *(f"u{n}" for n in range(8))]
    rows = [f"{user},film-{(u + s) % 9},{s}" for u, user in enumerate(who) for s in range(4)]
    (tmp_path / "plays.csv").write_text("user,item,time\n" + "\n".join(rows))
    (tmp_path / "people.csv").write_text(f"id,age\n{IMPORTED},41\n")
    found.run("import", tmp_path / "plays.csv", "--users", tmp_path / "people.csv", "--dataset", "films")
    found.run("fit")
    return found


@contextmanager
def two_servers(world: World) -> Iterator[tuple[Client, Client]]:
    start = partial(run_server, world.config, environment=ENVIRONMENT)
    with start() as one, start() as two:
        yield one.client, two.client
        world.logs.extend([one.log, two.log])


def write(client: Client, *events: events_pb2.Event) -> None:
    answer = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=20)
    assert answer.stored_count == len(events)


def live(client: Client, other: Client) -> None:
    """What people do: events, profiles, a visitor who turns out to be a user, lists on both servers."""
    for who, n in ((KNOWN, 300), (IMPORTED, 40), (VISITOR, 300), (STAYS, 10)):
        field = "session_id" if who == VISITOR else "user_id"
        write(client, *(event(f"{who[:2]}-{i}", f"film-{i % 9}", **{field: who}) for i in range(n)))
    write(client, event("both", "film-1", user_id=STAYS, session_id=OTHER_VISITOR))
    for who in (KNOWN, IMPORTED):
        told = pb.User(user_id=who, profile=profile({"age": 30}))
        client.catalog.UpsertUser(pb.UpsertUserRequest(product="films", user=told), timeout=5)
    for process in (client, other):
        for who in (KNOWN, IMPORTED, VISITOR, STAYS):
            assert process.recommend("films", who).user_known
    merge = events_pb2.MergeUsersRequest(product="films", anonymous_id=VISITOR, user_id=KNOWN)
    assert client.events.MergeUsers(merge, timeout=5).moved_event_count == 300
    assert len(list(export(client, KNOWN))) == 1 + 600


def export(client: Client, who: str) -> Iterator[pb.ExportUserResponse]:
    return client.catalog.ExportUser(pb.ExportUserRequest(product="-", user_id=who), timeout=20)


def forget(client: Client, who: str) -> dict[str, int]:
    """The places that are named as not cleared yet, of every product, with how much there is."""
    answer = client.catalog.DeleteUser(pb.DeleteUserRequest(product="-", user_id=who, allow_missing=True), timeout=20)
    assert not any(p.outcome == PLACE.OUTCOME_FAILED for p in answer.places)
    pending = {f"{p.product}/{p.place}": p.record_count for p in answer.places if p.outcome == PLACE.OUTCOME_PENDING}
    assert answer.complete == (not pending)
    return pending


def is_a_stranger(client: Client, who: str) -> None:
    stranger, answer = client.recommend("films", "somebody new"), client.recommend("films", who)
    assert not answer.user_known
    assert [i.item_id for i in answer.items] == [i.item_id for i in stranger.items]
    for call in (
        lambda: client.catalog.GetUser(pb.GetUserRequest(product="films", user_id=who), timeout=5),
        lambda: list(export(client, who)),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            call()
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_what_is_left_is_what_the_answer_names_and_a_fit_finishes(world: World):
    with two_servers(world) as (client, other):
        live(client, other)
    world.run("fit", "films")
    old, version = world.versions("films")
    (series,) = world.versions("series")
    database = {"store.db"} if world.url.startswith("sqlite") else set()
    catalog = f"artifacts/films/{version}/_catalog/users.arrow"
    assert world.where(KNOWN) == {"cuvee_events", "cuvee_users", catalog, *database}
    assert world.where(IMPORTED) == {"cuvee_events", "cuvee_users", catalog, "data/films/users.arrow", *database}
    assert world.where(VISITOR) == {"cuvee_events", *database}

    with two_servers(world) as (client, other):
        for who in (KNOWN, IMPORTED, STAYS):
            assert client.recommend("films", who).user_known
            assert other.recommend("films", who).user_known
        models = {f"films/snapshot.{version}.{name}": 1 for name in ("pairs", "popular", "_catalog")}
        assert forget(client, KNOWN) == models
        assert world.where(KNOWN) == {catalog}
        assert forget(client, IMPORTED) == {
            **models,
            f"films/snapshot.{old}": 1,
            **{f"series/snapshot.{series}.{name}": 1 for name in ("pairs", "popular")},
            **{f"{product}/dataset.films": 5 for product in ("films", "series")},
        }
        assert world.where(IMPORTED) == {catalog, "data/films/users.arrow"}
        assert world.where(VISITOR) == set()
        for process in (client, other):
            for who in (KNOWN, IMPORTED):
                is_a_stranger(process, who)
        assert forget(client, OTHER_VISITOR) == {}
        assert world.where(OTHER_VISITOR) == set()
        assert len(list(export(client, STAYS))) == 1 + 11 + 4 + 1 + 4
        world.run("fit", "films")
        assert world.where(KNOWN) == set()
        assert world.where(IMPORTED) == {"data/films/users.arrow"}, "the other product has not been fitted yet"
        world.run("fit", "series")
        for who in (KNOWN, IMPORTED, VISITOR, OTHER_VISITOR):
            assert world.where(who) == set(), who
            is_a_stranger(client, "nobody" if who in {VISITOR, OTHER_VISITOR} else who)
        write(client, event("after", "film-8", user_id=STAYS))
    with run_server(world.config, environment=ENVIRONMENT) as one:
        for who in (KNOWN, IMPORTED):
            is_a_stranger(one.client, who)
            assert forget(one.client, who) == {}
        assert one.client.recommend("films", STAYS).user_known
        assert one.client.recommend("series", STAYS).user_known
        world.logs.append(one.log)
    for who in (KNOWN, IMPORTED, VISITOR, OTHER_VISITOR):
        assert world.where(who) == set(), who
    assert world.where(STAYS) > {"cuvee_events", "data/films/users.arrow"}, "the scan finds what is there"
