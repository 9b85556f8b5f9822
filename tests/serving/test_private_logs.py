"""Nothing personal in logs: not of calls that work, not of refused ones, and not of what fails inside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from cuvee.client import profile
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

from .conftest import ENVIRONMENT, stored, with_tables

DEBUG = {**ENVIRONMENT, "GRPC_VERBOSITY": "debug", "GRPC_TRACE": "http,api", "PYTHONASYNCIODEBUG": "1"}
PERSONAL = {
    "user_id": "Paula.Private@example.org", "session_id": "session-nobody-may-see", "item_id": "film-she-liked",
    "event_id": "event-that-names-paula", "recommendation_id": "list-that-paula-saw",
}  # fmt: skip
TOWN, BAND = "Secretville", "The Quiet Ones"


def refused(call: Callable[..., object], request: object) -> None:
    with pytest.raises(grpc.RpcError):
        call(request, timeout=5)


LOCK = {"sqlite": ["BEGIN IMMEDIATE"], "postgresql": ["BEGIN", "LOCK cuvee_events, cuvee_users"]}
BREAK = {
    "sqlite": ["ALTER TABLE cuvee_events RENAME COLUMN position TO place"],
    # the driver's error then holds the whole row
    "postgresql": ["ALTER TABLE cuvee_events ALTER COLUMN position SET NOT NULL"],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return with_tables(request.getfixturevalue("postgres").url, "logs")


def connected(url: str) -> Any:
    """Errors that are raised outside of our own code."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    import psycopg  # noqa: PLC0415 - the driver is an extra

    return psycopg.connect(url, autocommit=True)


def test_nothing_personal_is_logged(config: Path, url: str):
    kind = url.partition(":")[0]
    place = stored(config, url, f"stored-logs-{kind}")
    place.write_text(place.read_text().replace("[store]", '[store]\ntimeout = "100ms"'))
    told = profile({"occupation": TOWN, "age": 33}, {"genres": [BAND]})
    good = events_pb2.Event(product="toy", type=1, **PERSONAL)
    bad = events_pb2.Event(product="toy", type=99, **PERSONAL)
    user = catalog_pb2.User(user_id=PERSONAL["user_id"], profile=told)
    with run_server(place, environment=DEBUG) as server:
        client, events, catalog = server.client, server.client.events, server.client.catalog
        ids = {"product": "toy", "user_id": PERSONAL["user_id"]}

        def every_call() -> None:
            """Each service, the store there or not; failures are all right."""
            calls = [
                (events.WriteEvents, events_pb2.WriteEventsRequest(events=[good, bad, good])),
                (events.MergeUsers, events_pb2.MergeUsersRequest(anonymous_id=PERSONAL["session_id"], **ids)),
                (catalog.UpsertUser, catalog_pb2.UpsertUserRequest(product="toy", user=user)),
                (catalog.GetUser, catalog_pb2.GetUserRequest(**ids)),
            ]
            for call, request in calls:
                try:
                    call(request, timeout=5)
                except grpc.RpcError as problem:
                    assert problem.code() is grpc.StatusCode.UNAVAILABLE
            sent = [events_pb2.StreamEventsRequest(event=one) for one in (good, bad)]
            try:
                list(events.StreamEvents(iter(sent), timeout=5))
                list(catalog.ExportUser(catalog_pb2.ExportUserRequest(**ids), timeout=5))
            except grpc.RpcError as problem:
                assert problem.code() is grpc.StatusCode.UNAVAILABLE
            listed = ["film-001", PERSONAL["item_id"]]
            client.recommend(**ids, profile=told, context_item_ids=listed, exclude_item_ids=listed)
            client.rank("toy", listed, PERSONAL["user_id"], profile=told)
            client.similar_items("toy", listed)
            list(client.batch_recommend("toy", [pb.RecommendRequest(user_id=PERSONAL["user_id"], filter="year >")]))

        every_call()
        refused(client.catalog.GetUser, catalog_pb2.GetUserRequest(product="toy", user_id=PERSONAL["user_id"] * 20))
        long = profile({"occupation": TOWN * 10_000})
        refused(catalog.UpsertUser, catalog_pb2.UpsertUserRequest(
            product="toy", user=catalog_pb2.User(user_id=PERSONAL["user_id"], profile=long)))  # fmt: skip
        with pytest.raises(grpc.RpcError):
            client.recommend(**ids, filter=f"occupation = '{TOWN}' AND")
        # locked: what is written waits and fails
        past = connected(url)
        for statement in LOCK[kind]:
            past.execute(statement)
        every_call()
        past.execute("ROLLBACK")
        # broken: what fails then is our own mistake, and is logged with a traceback
        for statement in ("DELETE FROM cuvee_events", *BREAK[kind]):
            past.execute(statement)
        past.close()
        refused(events.WriteEvents, events_pb2.WriteEventsRequest(events=[good]))
        client.recommend(**ids, profile=told)
        log = server.log
    assert '"event": "internal error"' in log, "a failure with a traceback was logged"
    assert "events of unknown items" in log
    assert "grpc" in log, "gRPC told what it did"
    for personal in (*PERSONAL.values(), TOWN, BAND):
        assert personal not in log
