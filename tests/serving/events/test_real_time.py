"""An acknowledged event changes the very next list, whichever process makes it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from cuvee.client import Client
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.testing import RunningServer
from cuvee.v1 import events_pb2 as pb
from cuvee.v1 import recommendation_pb2, recommendation_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

NUMBERS = itertools.count()
TRIALS = 100


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def do(client: Client, user: str, *items: str, kind: int = pb.EVENT_TYPE_CLICK, **fields) -> None:
    events = [
        pb.Event(product="toy", user_id=user, item_id=item, type=kind, event_id=f"rt-{next(NUMBERS)}", **fields)
        for item in items
    ]
    assert client.events.WriteEvents(pb.WriteEventsRequest(events=events), timeout=5).stored_count == len(items)


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


def test_a_click_is_excluded_from_the_next_list_on_either_process(client: Client, other: Client):
    for trial in range(TRIALS):
        writer, reader = (client, other) if trial % 2 else (other, client)
        user = f"trial-{trial % 20}"
        shown = ids(reader.recommend("toy", user))
        do(writer, user, shown[0])
        assert shown[0] not in ids(reader.recommend("toy", user, page_size=30))


def test_the_first_click_makes_a_stranger_known(client: Client, other: Client):
    before = other.recommend("toy", "stranger")
    assert (before.user_known, before.segment) == (False, "cold")
    do(client, "stranger", "film-004")
    after = other.recommend("toy", "stranger")
    assert (after.user_known, after.segment) == (True, "warm")
    assert not after.degraded
    assert ids(after) != ids(before)
    session = other.recommend("toy", context_item_ids=["film-004"])
    assert ids(after) == ids(session), "the sources get the event as they get one in the request"


def test_stored_events_come_behind_imported_ones(client: Client, toy):
    """Of 8 events that sources get, 8 newer ones leave none of the imported; what was seen stays excluded."""
    seen = {toy.data.catalog.items.ids([i])[0] for i in toy.data.events.row(0)}
    clicked = [f"film-{n:03d}" for n in range(120) if f"film-{n:03d}" not in seen][:8]
    old = Timestamp(seconds=5)  # long before anything that was imported
    do(client, "viewer-000", *clicked, event_time=old)
    answer = client.recommend("toy", "viewer-000", page_size=30)
    assert not {*seen, *clicked} & set(ids(answer))
    session = client.recommend("toy", context_item_ids=clicked, exclude_item_ids=sorted(seen), page_size=30)
    assert {i.item_id: i.score for i in answer.items} == pytest.approx({i.item_id: i.score for i in session.items})


def test_events_of_items_that_nobody_knows_change_nothing_yet(client: Client):
    before = client.recommend("toy", "early")
    do(client, "early", "not there yet")
    after = client.recommend("toy", "early")
    assert ids(after) == ids(before)
    assert after.user_known


def test_what_is_dismissed_is_not_liked_and_not_shown(client: Client):
    do(client, "picky", "film-004")
    assert client.recommend("toy", "picky").segment == "warm"
    do(client, "picky", "film-004", kind=pb.EVENT_TYPE_DISMISS)
    answer = client.recommend("toy", "picky", page_size=30)
    assert answer.segment == "cold", "the like was taken back"
    assert "film-004" not in ids(answer)


@pytest.mark.parametrize(("rating", "segment"), [(3.0, "cold"), (3.5, "warm")])
def test_a_rating_counts_from_the_products_threshold_on(client: Client, rating: float, segment: str):
    do(client, f"rater-{rating}", "film-004", kind=pb.EVENT_TYPE_RATING, value=rating)
    assert client.recommend("toy", f"rater-{rating}").segment == segment


def test_a_visitor_who_turns_out_to_be_somebody_takes_his_events_along(client: Client, other: Client):
    do(client, "visitor", "film-004", "film-006")
    assert {"film-004", "film-006"} & set(ids(other.recommend("toy", "somebody", page_size=30)))
    client.events.MergeUsers(pb.MergeUsersRequest(product="toy", anonymous_id="visitor", user_id="somebody"), timeout=5)
    answer = other.recommend("toy", "somebody", page_size=30)
    assert not {"film-004", "film-006"} & set(ids(answer))
    assert not other.recommend("toy", "visitor").user_known


def test_rank_and_batches_know_the_events_too(client: Client, other: Client):
    do(client, "ranker", "film-004")
    assert other.rank("toy", ["film-000", "film-004"], "ranker").segment == "warm"
    requests = [recommendation_pb2.RecommendRequest(user_id=u, page_size=30) for u in ("ranker", "nobody at all")]
    found = {r.user_id: r.response for r in other.batch_recommend("toy", requests)}
    assert "film-004" not in ids(found["ranker"])
    assert (found["ranker"].user_known, found["nobody at all"].user_known) == (True, False)


def test_an_id_that_cannot_be_stored_is_nobodys(client: Client):
    answer = client.recommend("toy", "nul\0nul")
    assert not answer.user_known
    assert not answer.degraded


def test_what_was_shown_is_kept_and_joined_with_what_was_done(client: Client, store_url: str):
    answer = client.recommend("toy", "shopper")
    item = answer.items[1]
    do(client, "shopper", item.item_id, recommendation_id=answer.recommendation_id, position=item.position)
    store = Store(Database(located(store_url, Path())))
    until = time.monotonic() + 10
    while True:
        found = {one.group: one for one in store.outcomes("toy", "segment", 0)}
        if "cold" in found and found["cold"].clicked:
            break
        assert time.monotonic() < until, found
        time.sleep(0.05)
    store.close()
    assert found["cold"].clicked <= found["cold"].shown


def test_a_preview_is_the_same_list_and_no_exposure(client: Client, store_url: str):
    lists = recommendation_pb2_grpc.RecommendationServiceStub(client.channel)
    plain = recommendation_pb2.RecommendRequest(product="toy", user_id="onlooker", page_size=3)
    asked = recommendation_pb2.RecommendRequest(product="toy", user_id="onlooker", page_size=3, preview=True)
    alike = recommendation_pb2.SimilarItemsRequest(product="toy", item_ids=["film-001"], preview=True)
    looked = [lists.Recommend(asked, timeout=10), lists.SimilarItems(alike, timeout=10)]
    looked += [one.response for one in client.batch_recommend("toy", [asked])]
    shown = lists.Recommend(plain, timeout=10)
    assert [one.item_id for one in looked[0].items] == [one.item_id for one in shown.items]
    database = Database(located(store_url, Path()))
    wanted, until = {shown.recommendation_id}, time.monotonic() + 30
    while not wanted <= (kept := kept_ids(database)):
        assert time.monotonic() < until
        time.sleep(0.05)
    database.close()
    # answers are kept in the order in which they were made
    assert not kept & {one.recommendation_id for one in looked}


def kept_ids(database: Database) -> set[str]:
    sql = text("SELECT recommendation_id FROM cuvee_exposures")
    return database.read(lambda connection: set(connection.execute(sql).scalars()))
