"""Events of all users change all lists, on every process, without a new fit."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from cuvee.client import Client
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2

from ..catalog_calls import soon
from ..conftest import ENVIRONMENT

PURCHASE, DISMISS = events_pb2.EVENT_TYPE_PURCHASE, events_pb2.EVENT_TYPE_DISMISS
NUMBERS = itertools.count()


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def do(client: Client, item: str, *users: str, kind: int = PURCHASE) -> None:
    events = [
        events_pb2.Event(product="trending", user_id=u, item_id=item, type=kind, event_id=f"trend-{next(NUMBERS)}")
        for u in users
    ]
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=10)


def crowd(n: int) -> list[str]:
    """New users."""
    return [f"one-of-{next(NUMBERS)}" for _ in range(n)]


def top(client: Client) -> str:
    """The first item of a list for an unknown user."""
    return client.recommend("trending", f"new-{next(NUMBERS)}").items[0].item_id


def score(client: Client, item: str) -> float:
    return client.rank("trending", [item], f"new-{next(NUMBERS)}").items[0].attributions[0].raw


def test_a_burst_of_purchases_lifts_an_item_for_everybody(client: Client, other: Client):
    before = score(other, "film-117")
    do(client, "film-117", *crowd(300))
    for process in (client, other):
        soon(lambda process=process: score(process, "film-117") == before + 300)
    assert top(other) == top(client)


def test_what_is_disliked_takes_back_what_was_liked_and_no_more(client: Client, other: Client, toy):
    before = score(other, "film-116")
    fans = crowd(3)
    do(client, "film-116", *fans)
    soon(lambda: score(other, "film-116") == before + 3)
    do(other, "film-116", fans[0], *crowd(5), kind=DISMISS)  # five never liked it
    do(client, "film-116", fans[1], kind=DISMISS)
    soon(lambda: score(other, "film-116") == score(client, "film-116") == before + 1)
    # a like of before the fit, by somebody who was imported
    liked = toy.data.catalog.items.ids(toy.data.events.row(7))[-1]
    before = score(other, liked)
    do(client, liked, "viewer-007", kind=DISMISS)
    soon(lambda: score(other, liked) == before - 1)


def test_who_is_forgotten_does_not_count_any_more(client: Client, other: Client):
    before = score(other, "film-115")
    do(client, "film-115", *["maniac"] * 50, *crowd(2))
    soon(lambda: score(other, "film-115") == before + 52)
    client.catalog.DeleteUser(catalog_pb2.DeleteUserRequest(product="trending", user_id="maniac"), timeout=5)
    for process in (client, other):
        soon(lambda process=process: score(process, "film-115") == before + 2)


def test_an_event_counts_from_when_its_item_is_known_and_on_servers_that_start_later(
    client: Client, other: Client, stored_config: Path
):
    item = f"unheard-of-{next(NUMBERS)}"
    do(client, item, *crowd(700))
    catalog = catalog_pb2.UpsertItemRequest(product="trending", item=catalog_pb2.Item(item_id=item, title="Hit"))
    client.catalog.UpsertItem(catalog, timeout=5)
    for process in (client, other):
        soon(lambda process=process: top(process) == item)
    with run_server(stored_config, environment=ENVIRONMENT) as late:
        assert top(late.client) == item, "from its first answer on"
        assert score(late.client, "film-117") == score(client, "film-117")
    client.catalog.DeleteItem(catalog_pb2.DeleteItemRequest(product="trending", item_id=item), timeout=5)
    assert top(other) != item
