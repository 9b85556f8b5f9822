"""Changes of the catalogue are in the lists of every process without a new fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from cuvee.client import Client, profile
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2, recommendation_pb2

from ..catalog_calls import item, listed, soon, upsert
from ..conftest import ENVIRONMENT

UPDATED = pb.UPSERT_OUTCOME_UPDATED


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def test_a_new_item_is_recommended_by_every_process_without_a_refit(client: Client, other: Client, new_id: str):
    upsert(client, item(new_id, "Tomorrow", year=2990))
    for process in (client, other):
        soon(lambda process=process: listed(process)[0] == new_id)
    answer = other.recommend("news", "reader")
    assert (answer.items[0].item_id, answer.items[0].title) == (new_id, "Tomorrow")
    assert not answer.degraded


def test_a_label_that_a_new_item_brings_is_no_misspelt_value_any_more(client: Client, other: Client, new_id: str):
    label = f"Genre of {new_id}"
    declared = profile(interests={"genres": [label, "Noir"]})

    def unknown(process: Client) -> list[str]:
        return list(process.recommend("news", "reader", profile=declared).unknown_profile_values)

    assert unknown(client) == unknown(other) == [f"interests.genres={label}"]
    upsert(client, item(new_id, "Tomorrow", genres=[label]))
    for process in (client, other):
        soon(lambda process=process: not unknown(process))


def asked_in_every_way(client: Client) -> dict[str, list[str]]:
    """The lists that a process gives at this moment, by who asks how."""
    batch = client.batch_recommend("news", [recommendation_pb2.RecommendRequest(user_id="reader", page_size=100)])
    return {
        "a user": listed(client),
        "a session": listed(client, user_id="", context_item_ids=["film-001"]),
        "somebody unknown": listed(client, user_id="", profile=profile({"age": 30})),
        "filtered": listed(client, filter="year > 1900"),
        "what goes with an item": [i.item_id for i in client.similar_items("news", ["film-001"], page_size=100).items],
        "a batch": [i.item_id for one in batch for i in one.response.items],
    }


@pytest.mark.parametrize("trial", range(3))
def test_what_is_not_available_or_deleted_is_in_no_next_list_of_any_process(
    client: Client, other: Client, new_id: str, trial: int
):
    upsert(client, item(new_id, year=2991))
    for process in (client, other):
        soon(lambda process=process: new_id in listed(process))
    assert all(new_id in ids for ids in asked_in_every_way(other).values()), "the test sees it where it is"
    writer, reader = (client, other) if trial % 2 else (other, client)
    assert upsert(writer, item(new_id, available=False)).outcome == UPDATED
    first = asked_in_every_way(reader)
    assert [how for how, ids in first.items() if new_id in ids] == []
    assert new_id not in listed(writer)
    upsert(writer, item(new_id, available=True))
    for process in (client, other):
        soon(lambda process=process: new_id in listed(process))
    writer.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id=new_id), timeout=5)
    assert [how for how, ids in asked_in_every_way(reader).items() if new_id in ids] == []


@pytest.mark.parametrize("ask", range(5))
def test_the_first_to_ask_in_whatever_way_does_not_see_it(client: Client, other: Client, new_id: str, ask: int):
    ways = (
        lambda: listed(other),
        lambda: listed(other, user_id="", context_item_ids=["film-001"]),
        lambda: listed(other, user_id="", profile=profile({"age": 30})),
        lambda: listed(other, filter="year > 1900"),
        lambda: [i.item_id for i in other.similar_items("news", ["film-001"], page_size=100).items],
    )
    upsert(client, item(new_id, year=2992))
    soon(lambda: new_id in ways[ask]())
    upsert(client, item(new_id, available=False))
    assert new_id not in ways[ask]()
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id=new_id), timeout=5)


def test_an_event_that_came_before_its_item_counts_when_the_item_is_there(client: Client, new_id: str):
    event = events_pb2.Event(product="news", user_id="early", item_id=new_id, type=1, event_id=new_id)
    answer = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=5)
    assert answer.results[0].item_unknown
    upsert(client, item(new_id, year=2992))
    soon(lambda: new_id in listed(client))
    assert new_id not in listed(client, user_id="early"), "he has seen it"


def test_a_server_that_starts_later_has_the_catalogue_as_it_is(stored_config: Path, client: Client, new_id: str):
    upsert(client, item(new_id, year=2993))
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id="film-013"), timeout=5)
    with run_server(stored_config, environment=ENVIRONMENT) as late:
        first = listed(late.client)
        assert new_id in first
        assert "film-013" not in first
        assert set(first) == set(listed(client))
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id=new_id), timeout=5)
