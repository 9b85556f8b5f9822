"""On a real server, popularity follows what people do: decayed by the time of events, and by segment."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cuvee.client import Client, profile
from cuvee.testing import RunningServer, run_server, two_tribes
from cuvee.v1 import events_pb2
from google.protobuf.timestamp_pb2 import Timestamp

CONFIG = """
[server]
limits = { deadline = "10s" }
[store]
url = "sqlite:///store.db"
[recommenders.popular]
plugin = "popular"
half_life = 1.0
count = "events"
"""
PRODUCT = """
sources = [{ use = "popular" }]
rules = []
page_size = { default = 5, max = 200 }
"""
DAY = 86_400
NOW = int(time.time()) - 100 * DAY
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("popular")
    two_tribes().data.save(folder / "var/data/films")
    (folder / "products").mkdir()
    (folder / "products/films.toml").write_text(PRODUCT)
    (folder / "cuvee.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml"), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cuvee.toml"


@pytest.fixture(scope="module")
def server(config: Path):
    with run_server(config) as running:
        yield running


@pytest.fixture(scope="module")
def other(config: Path, server: RunningServer):
    with run_server(config) as running:
        yield running.client


def buy(client: Client, item: str, *users: str, days: float) -> None:
    """So many days after ``NOW``."""
    when = Timestamp(seconds=int(NOW + days * DAY))
    events = [
        events_pb2.Event(product="films", user_id=user, item_id=item, type=events_pb2.EVENT_TYPE_PURCHASE,
                         event_id=f"bought-{next(NUMBERS)}", event_time=when)
        for user in users
    ]  # fmt: skip
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=10)


def strangers(n: int) -> list[str]:
    return [f"stranger-{next(NUMBERS)}" for _ in range(n)]


def first(client: Client, **known) -> str:
    return client.recommend("films", f"new-{next(NUMBERS)}", **known).items[0].item_id


def soon(check, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


def test_a_burst_lifts_an_item_on_every_process_and_time_takes_it_down(server: RunningServer, other: Client):
    buy(server.client, "film-119", *strangers(20), days=0)
    for process in (server.client, other):
        soon(lambda process=process: first(process) == "film-119")
    # ten half-lives later two purchases are more than what is left of twenty
    buy(other, "film-118", *strangers(2), days=10)
    for process in (server.client, other):
        soon(lambda process=process: first(process) == "film-118")


def test_what_a_segment_buys_is_lifted_for_that_segment(server: RunningServer, other: Client):
    catalog = two_tribes().data.catalog
    jobs = catalog.users.frame["occupation"].to_list()
    (one, *_), (another, *_) = (set(jobs[:5]), set(jobs) - set(jobs[:5]))
    for job, item in ((one, "film-110"), (another, "film-111")):
        known = [user for user, does in zip(catalog.users.frame["id"], jobs, strict=True) if does == job]
        buy(server.client, item, *(known * 40)[:200], days=20)
    for job, item in ((one, "film-110"), (another, "film-111")):
        told = profile({"occupation": job})
        soon(lambda told=told, item=item: first(other, profile=told) == item)


def test_a_refit_changes_nothing_that_was_counted_in(server: RunningServer, other: Client, config: Path):
    buy(server.client, "film-117", *strangers(7), days=21)
    buy(server.client, "film-116", *strangers(5), days=21.5)
    ids = [f"film-{n:03d}" for n in range(120)]

    def scores(client: Client) -> dict[str, float]:
        return {item.item_id: item.attributions[0].raw for item in client.rank("films", ids, "nobody").items}

    soon(lambda: scores(other)["film-116"] > scores(other)["film-115"] and scores(other) == scores(server.client))
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(config), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    with run_server(config) as refitted:
        assert scores(refitted.client) == pytest.approx(scores(other), abs=1e-4)
        buy(other, "film-115", *strangers(100), days=22)
        for process in (other, refitted.client):
            soon(lambda process=process: first(process) == "film-115")
        soon(lambda: scores(refitted.client) == pytest.approx(scores(other), abs=1e-4))
