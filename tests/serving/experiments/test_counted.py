"""From a request to the report: answers carry the variant, events name the answer, and the report counts both."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

from ..commands import done
from ..conftest import ENVIRONMENT, fitted, migrated
from ..live.conftest import until

FILM = """
dataset = "toy"
page_size = {{ default = 5, max = 30 }}
sources = [{{ use = "pairs" }}, {{ use = "popular" }}]
[[experiments]]
name = "length"
[[experiments.variants]]
name = "short"
share = 0.5
[[experiments.variants]]
name = "long"
share = 0.5
overrides.page_size.default = 8
"""
VIEWERS = [f"viewer-{n:03}" for n in range(12)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counted")
    url = migrated(f"sqlite:///{folder / 'store.db'}")
    server = f'[server]\nlimits = {{ deadline = "30s" }}\n[store]\nurl = "{url}"\n'
    return fitted(folder, {"film": FILM}, server)


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in this process, and needs the plugins that the configuration names."""
    for folder in ENVIRONMENT["PYTHONPATH"].split(os.pathsep):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("CUVEE_CONFIG", "")


def report(config: Path) -> dict[str, Any]:
    told = json.loads(done("report", "film", "--experiment", "length", "--config", config, "--json"))
    return {one["name"]: one for one in told["variants"]}


def test_what_is_shown_and_done_is_in_the_report_by_variant(server: RunningServer, config: Path):
    client = server.client
    answers = {user: client.recommend("film", user, timeout=30) for user in VIEWERS}
    variant = {user: answer.variant.removeprefix("length/") for user, answer in answers.items()}
    assert set(variant.values()) == {"short", "long"}
    # counts nowhere: what is only looked at, named, or nobody's
    client.recommend("film", VIEWERS[0], preview=True, timeout=30)
    client.recommend("film", VIEWERS[0], variant="length/long", timeout=30)
    client.recommend("film", context_item_ids=["film-001"], timeout=30)
    client.rank("film", ["film-001"], VIEWERS[0], timeout=30)
    # another answer of a visitor who logged in: the same unit
    client.recommend("film", "known-now", bucketing_id=VIEWERS[1], timeout=30)
    clicks = [
        events_pb2.Event(product="film", user_id=user, item_id=answer.items[at].item_id,
                         type=events_pb2.EVENT_TYPE_PURCHASE if at else events_pb2.EVENT_TYPE_CLICK,
                         recommendation_id=answer.recommendation_id, position=at, event_id=f"{user}-{at}")
        for user, answer in answers.items() for at in range(2)
    ]  # fmt: skip
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=clicks), timeout=30)
    until(lambda: sum(one["answers"] for one in report(config).values()) == len(VIEWERS) + 1)
    found = report(config)
    for name, size in (("short", 5), ("long", 8)):
        users = [user for user in VIEWERS if variant[user] == name]
        more = variant[VIEWERS[1]] == name
        one = found[name]
        assert (one["users"], one["answers"]) == (len(users), len(users) + more)
        assert one["items"] == size * (len(users) + more)
        assert one["metrics"]["click_through"]["value"] == pytest.approx(2 * len(users) / one["items"])
        assert one["metrics"]["conversion"]["value"] == 1.0
        assert one["metrics"]["events"]["value"] == pytest.approx(2.0)

    # who is forgotten is counted no more
    stub = client.catalog
    stub.DeleteUser(catalog_pb2.DeleteUserRequest(product="film", user_id=VIEWERS[2]), timeout=30)
    assert sum(one["users"] for one in report(config).values()) == len(VIEWERS) - 1


def test_a_batch_counts_too(server: RunningServer, config: Path):
    before = sum(one["answers"] for one in report(config).values())
    requests = [pb.RecommendRequest(user_id=user) for user in VIEWERS] + [
        pb.RecommendRequest(user_id="x", preview=True)
    ]
    assert len(list(server.client.batch_recommend("film", requests, timeout=60))) == len(requests)
    until(lambda: sum(one["answers"] for one in report(config).values()) == before + len(VIEWERS))
