"""The server is killed, the database restarted, locked or gone: what was acknowledged stays, lists go on."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client, failure_of
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.testing import RunningServer, run_server
from cuvee.testing.postgres import Postgres
from cuvee.v1 import events_pb2 as pb
from cuvee.v1 import recommendation_pb2

from ..conftest import ENVIRONMENT, stored, with_tables

KILLS = int(os.environ.get("CUVEE_KILLS", "2"))
"""The promise was shown with 50; each costs a start of the server."""
DATABASES = itertools.count()
SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def event(event_id: str, user: str = "streamer", item: str = "film-001") -> pb.Event:
    return pb.Event(product="toy", user_id=user, item_id=item, type=pb.EVENT_TYPE_VIEW, event_id=event_id)


class Sender:
    """Streams events with rising numbers, sends again what has no answer, and remembers what has one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers = itertools.count()
        self.unanswered: list[str] = []
        self.acknowledged: list[str] = []
        self.lock = threading.Lock()

    def stream(self, client: Client, until: Callable[[], bool]) -> grpc.StatusCode:
        """Send until told to stop, or until the server is gone."""
        open_ones = list(self.unanswered)
        over = False

        def sending() -> Iterator[pb.StreamEventsRequest]:
            for event_id in open_ones:
                yield pb.StreamEventsRequest(event=event(event_id))
            while not until():
                if len(self.unanswered) >= 300:
                    time.sleep(0.001)
                    continue
                with self.lock:  # gRPC takes events in a thread of its own, which outlives the stream a little
                    if over:
                        return
                    event_id = f"{self.name}-{next(self.numbers)}"
                    self.unanswered.append(event_id)
                yield pb.StreamEventsRequest(event=event(event_id))

        try:
            for answer in client.events.StreamEvents(sending(), timeout=60):
                assert answer.result.event_id == self.unanswered[0], "answers come in the order of the events"
                self.acknowledged.append(self.unanswered.pop(0))
        except grpc.RpcError as problem:
            with self.lock:
                over = True
            return problem.code()
        return grpc.StatusCode.OK


def stored_ids(url: str, user: str) -> list[str]:
    """Straight from the database."""
    store = Store(Database(located(url, Path())))
    found: list = []
    while page := store.events_of("toy", user, found[-1] if found else None):
        found += page
    row = store.user("toy", user)
    assert (row.event_count if row else 0) == len(found)
    store.close()
    return [one.event_id for one in found]


def test_killed_under_a_stream_of_events_it_loses_none_that_was_acknowledged(stored_config: Path, store_url: str):
    sender, chance = Sender("kill"), random.Random(5)
    before = len(stored_ids(store_url, "streamer"))
    for _ in range(KILLS):
        with run_server(stored_config, environment=ENVIRONMENT) as server:
            least = len(sender.acknowledged) + 50
            streaming = threading.Thread(target=sender.stream, args=(server.client, lambda: False))
            streaming.start()
            while len(sender.acknowledged) < least:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.2))
            server.process.send_signal(signal.SIGKILL)
            streaming.join(30)
            assert not streaming.is_alive()
        there = stored_ids(store_url, "streamer")
        assert len(there) == len(set(there))
        assert set(sender.acknowledged) <= set(there)
    with run_server(stored_config, environment=ENVIRONMENT) as server:
        assert sender.stream(server.client, lambda: True) is grpc.StatusCode.OK
    there = stored_ids(store_url, "streamer")
    assert not sender.unanswered
    assert len(there) - before == len(sender.acknowledged) == len(set(sender.acknowledged)) == next(sender.numbers)


@SQLITE
def test_told_to_stop_it_ends_streams_with_what_they_must_send_again(stored_config: Path, store_url: str):
    sender = Sender("term")
    with run_server(stored_config, environment=ENVIRONMENT) as server:
        codes: list[grpc.StatusCode] = []
        streaming = threading.Thread(target=lambda: codes.append(sender.stream(server.client, lambda: False)))
        idle = server.client.events.StreamEvents(iter(lambda: time.sleep(60), 0), timeout=60)
        streaming.start()
        while len(sender.acknowledged) < 100:
            time.sleep(0.005)
        server.process.terminate()
        streaming.join(15)
        assert server.process.wait(15) == 0
        assert codes == [grpc.StatusCode.UNAVAILABLE]
        with pytest.raises(grpc.RpcError) as failure:
            next(idle)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "internal error" not in server.log
    assert set(sender.acknowledged) <= set(stored_ids(store_url, "streamer"))


@pytest.fixture
def own_postgres(config: Path, postgres: Postgres) -> Iterator[RunningServer]:
    """A server over a database that the test may stop."""
    url = with_tables(postgres.url, f"faults_{next(DATABASES)}")
    with run_server(stored(config, url, "stored-faults"), environment=ENVIRONMENT) as running:
        yield running
    postgres.stop()
    postgres.start()


def ids(answer: recommendation_pb2.RecommendResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def troubles(answer: recommendation_pb2.RecommendResponse) -> dict[str, str]:
    degraded = recommendation_pb2.SourceStatus.STATUS_DEGRADED
    return {
        s.source: recommendation_pb2.DegradedReason.Name(s.reason).removeprefix("DEGRADED_REASON_")
        for s in answer.sources
        if s.status == degraded
    }


def test_while_postgresql_is_away_lists_go_on_from_what_was_read_last(own_postgres: RunningServer, postgres: Postgres):
    client = own_postgres.client
    client.events.WriteEvents(pb.WriteEventsRequest(events=[event("1", "cached", "film-004")]), timeout=5)
    fresh = client.recommend("toy", "cached", page_size=30)
    assert not fresh.degraded
    postgres.stop()
    away = client.recommend("toy", "cached", page_size=30)
    assert away.degraded
    assert troubles(away) == {"store": "UNAVAILABLE"}
    assert ids(away) == ids(fresh), "the history that was read last"
    assert away.user_known
    nobody = client.recommend("toy", "never read", page_size=30)
    assert troubles(nobody) == {"store": "UNAVAILABLE"}
    assert len(nobody.items) == 30
    known = client.recommend("toy", "viewer-003", page_size=5)
    assert known.segment == "warm", "imported events need no store"
    for _ in range(6):
        last = client.recommend("toy", "cached")
    assert troubles(last) == {"store": "CIRCUIT_OPEN"}, "a database that is away is not asked each time"
    with pytest.raises(grpc.RpcError) as failure:
        client.events.WriteEvents(pb.WriteEventsRequest(events=[event("2", "cached")]), timeout=5)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failure_of(failure.value).reason == "UNAVAILABLE"
    postgres.start()
    assert client.events.WriteEvents(pb.WriteEventsRequest(events=[event("2", "cached")]), timeout=5).stored_count == 1
    until = time.monotonic() + 20
    while client.recommend("toy", "cached").degraded:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_postgresql_restarted_under_a_stream_loses_nothing(own_postgres: RunningServer, postgres: Postgres):
    sender, stop = Sender("restart"), threading.Event()
    client = own_postgres.client

    def streaming() -> None:
        while not stop.is_set():
            sender.stream(client, stop.is_set)

    thread = threading.Thread(target=streaming)
    thread.start()
    answers = 0
    for _ in range(2):
        least = len(sender.acknowledged) + 100
        while len(sender.acknowledged) < least:
            time.sleep(0.005)
        postgres.stop()
        answers += len(client.recommend("toy", "viewer-003").items)
        postgres.start()
    stop.set()
    thread.join(30)
    assert sender.stream(client, lambda: True) is grpc.StatusCode.OK
    assert answers == 10
    url = [line for line in own_postgres.log.splitlines() if "stream" in line and "internal error" in line]
    assert url == []
    count = next(sender.numbers)
    assert len(sender.acknowledged) == len(set(sender.acknowledged)) == count
    events = client.recommend("toy", "streamer")
    assert events.user_known


@SQLITE
def test_a_locked_database_stops_neither_lists_nor_the_loop_and_senders_wait(
    config: Path, tmp_path: Path, store_url: str
):
    """While another process holds SQLite's lock, writes wait, reads do not, and a flood of writes is refused."""
    file = tmp_path / "locked.db"
    place = stored(config, f"sqlite:///{file}", "stored-locked").read_text()
    own = config.with_name("stored-locked.toml")
    own.write_text(place.replace("[store]", '[store]\ntimeout = "20s"'))
    sent = 0
    long = "\U0001f600" * 256  # a kilobyte

    def flood() -> Iterator[pb.StreamEventsRequest]:
        nonlocal sent
        for n in range(20_000):
            sent = n
            one = pb.Event(product="toy", user_id=long, session_id=long, recommendation_id=long, item_id=long, type=1)
            yield pb.StreamEventsRequest(sequence=n, event=one)

    with run_server(own, environment=ENVIRONMENT) as server:
        before = server.client.recommend("toy", "viewer-003")
        lock = sqlite3.connect(file, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        call = server.client.events.StreamEvents(flood(), timeout=60)
        until, last = time.monotonic() + 15, -1
        while sent != last and time.monotonic() < until:
            last = sent
            assert not server.client.recommend("toy", "viewer-003").degraded
            time.sleep(0.5)
        assert 0 < sent < 10_000, "the sender is stopped while nothing can be stored"
        assert ids(server.client.recommend("toy", "viewer-003")) == ids(before)
        lock.execute("ROLLBACK")
        lock.close()
        assert next(call).result.outcome == pb.EventResult.OUTCOME_STORED
        call.cancel()


def test_a_server_starts_before_its_database(config: Path, postgres: Postgres):
    url = with_tables(postgres.url, "later")
    place = stored(config, url, "stored-later")
    postgres.stop()
    try:
        with run_server(place, environment=ENVIRONMENT) as server:
            answer = server.client.recommend("toy", "viewer-003")
            assert troubles(answer) == {"store": "UNAVAILABLE"}
            postgres.start()
            until = time.monotonic() + 20
            while server.client.recommend("toy", "viewer-003").degraded:
                assert time.monotonic() < until
                time.sleep(0.05)
            written = server.client.events.WriteEvents(pb.WriteEventsRequest(events=[event("later")]), timeout=5)
            assert written.stored_count == 1
    finally:
        postgres.stop()
        postgres.start()
