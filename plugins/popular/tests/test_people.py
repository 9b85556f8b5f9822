"""Many events of one user do not change other users' lists; on a real server with old data, as in the demo."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import events_pb2
from google.protobuf.timestamp_pb2 import Timestamp

CONFIG = """
[store]
url = "sqlite:///store.db"
[server.limits.lanes]
writes = { in_flight = 8 }
[recommenders.popular]
plugin = "popular"
"""
PRODUCT = """
sources = [{ use = "popular" }]
[events]
user_rate = { per_second = 20, burst = 1000 }
"""
ITEMS, PEOPLE, EVENTS = 400, 2000, 60_000
OLD = 1e9
DAY = 86_400


def skewed() -> Dataset:
    """Data of the size of a small shop: many people like a few items, few people like each of the others."""
    rng = np.random.default_rng(7)
    share = 1 / np.arange(3, ITEMS + 3)
    catalog = Catalog(
        Entities.of_ids(f"item-{n}" for n in range(ITEMS)), Entities.of_ids(f"user-{n}" for n in range(PEOPLE))
    )
    items = rng.choice(ITEMS, EVENTS, p=share / share.sum())
    return Dataset.build(
        catalog, rng.integers(0, PEOPLE, EVENTS), items, OLD + np.sort(rng.uniform(0, 200 * DAY, EVENTS))
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("people")
    skewed().save(folder / "var/data/shop")
    (folder / "products").mkdir()
    (folder / "products/shop.toml").write_text(PRODUCT)
    (folder / "cuvee.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml"), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    with run_server(folder / "cuvee.toml") as running:
        yield running


def tops(server: RunningServer) -> list[set[str]]:
    """The ten first items of fifty users and fifty strangers."""
    users = [*(f"user-{n}" for n in range(50)), *(f"stranger-{n}" for n in range(50))]
    return [{i.item_id for i in server.client.recommend("shop", user, page_size=10, timeout=5).items} for user in users]


def overlap(before: list[set[str]], after: list[set[str]]) -> float:
    return float(np.mean([len(one & other) / 10 for one, other in zip(before, after, strict=True)]))


def send(server: RunningServer, events: list[events_pb2.Event]) -> int:
    request = events_pb2.WriteEventsRequest(events=events)
    return server.client.events.WriteEvents(request, timeout=10).stored_count


def event(user: str, item: int, number: int, **more) -> events_pb2.Event:
    more = {"type": events_pb2.EVENT_TYPE_CLICK, **more}
    return events_pb2.Event(product="shop", user_id=user, item_id=f"item-{item}", event_id=f"{user}-{number}", **more)


def floods() -> dict[str, list[events_pb2.Event]]:
    """Floods of events that one user may send, each about the items at places eleven and on."""
    now = int(time.time())
    targets = [10 + n % 10 for n in range(1000)]
    return {
        "one item": [event("one", 200, n) for n in range(1000)],
        "the heaviest value": [event("heavy", 201, 0, type=events_pb2.EVENT_TYPE_VIEW, value=10.0)],
        "items behind the first": [event("behind", item, n) for n, item in enumerate(targets)],
        "on a thousand days": [
            event("days", item, n, event_time=Timestamp(seconds=now - n // 10 * DAY)) for n, item in enumerate(targets)
        ],
        "as late as is taken": [
            event("late", item, n, event_time=Timestamp(seconds=now + 240)) for n, item in enumerate(targets)
        ],
        "the same ids": [event("same", 202, 1) for _ in range(1000)],
        "too late": [event("future", 203, n, event_time=Timestamp(seconds=now + DAY)) for n in range(1000)],
        "likes that are taken back": [
            event("moody", n % 10, n, type=kind)
            for n, kind in enumerate([events_pb2.EVENT_TYPE_CLICK] * 500 + [events_pb2.EVENT_TYPE_DISMISS] * 500)
        ],
    }


def test_one_users_flood_moves_nobody_elses_list(server: RunningServer):
    before = tops(server)
    stored = {}
    for kind, events in floods().items():
        stored[kind] = send(server, events)
        time.sleep(0.6)
        assert overlap(before, tops(server)) >= 0.95, kind
    assert stored["the same ids"] == 1
    assert stored["too late"] == 0
    assert sum(send(server, [event("one", 200, k * 1000 + n) for n in range(1000)]) for k in range(1, 6)) < 4000
    assert overlap(before, tops(server)) >= 0.95


def test_what_many_people_choose_moves_it(server: RunningServer):
    send(server, [event(f"fan-{n}", 300, n) for n in range(400)])
    until = time.monotonic() + 20
    while "item-300" not in tops(server)[-1]:
        assert time.monotonic() < until, "four hundred people are heard"
        time.sleep(0.1)
