"""CatalogService: items over what was imported, one by one and in batches."""

from __future__ import annotations

import grpc
import pytest
from cuvee.client import Client, failure_of
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb

from ..catalog_calls import get, item, listed, plain, soon, upsert

CREATED, UPDATED = pb.UPSERT_OUTCOME_CREATED, pb.UPSERT_OUTCOME_UPDATED
UNCHANGED, REJECTED = pb.UPSERT_OUTCOME_UNCHANGED, pb.UPSERT_OUTCOME_REJECTED


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


def test_what_was_imported_is_there(client: Client, toy):
    first = toy.grown.items.row(3)
    found = get(client, "film-003")
    assert plain(found) == {"title": first["title"], "genres": first["genres"], "year": first["year"]}
    assert not found.HasField("create_time")
    user = client.catalog.GetUser(pb.GetUserRequest(product="news", user_id="viewer-000"), timeout=5)
    row = toy.grown.users.row(0)
    assert user.user.profile.attributes["age"].number == row["age"]
    assert user.user.profile.attributes["occupation"].text == row["occupation"]
    assert user.event_count == len(toy.data.events.row(0))


def test_an_item_is_created_changed_and_left_alone(client: Client, new_id: str):
    first = upsert(client, item(new_id, "New", year=1950, genres=["War"], price=2.5))
    assert first.outcome == CREATED
    assert first.item.create_time == first.item.update_time
    assert get(client, new_id) == first.item
    assert upsert(client, item(new_id, price=2.5)).outcome == UNCHANGED
    assert get(client, new_id).update_time == first.item.update_time
    second = upsert(client, item(new_id, "Newer", year=1951))
    assert second.outcome == UPDATED
    assert plain(second.item) == {"title": "Newer", "year": 1951, "genres": ["War"], "price": 2.5}
    assert second.item.create_time == first.item.create_time
    assert second.item.update_time.ToMicroseconds() > first.item.update_time.ToMicroseconds()


@pytest.mark.parametrize(
    ("mask", "given", "expected"),
    [
        ([], item("", "", year=1960), {"title": "Old", "year": 1960, "genres": ["War"]}),
        ([], item("", "T", genres=None), {"title": "T", "year": 1950}),
        (["title"], item("", "", year=1960), {"title": "", "year": 1950, "genres": ["War"]}),
        (["attributes"], item("", "T", year=1960), {"title": "Old", "year": 1960}),
        (
            ["attributes.year"],
            item("", "T", year=1960, genres=["X"]),
            {"title": "Old", "year": 1960, "genres": ["War"]},
        ),
        (["attributes.year"], item("", "T"), {"title": "Old", "genres": ["War"]}),
        (["attributes.none"], item("", "T", year=1960), {"title": "Old", "year": 1950, "genres": ["War"]}),
        (["title", "attributes.genres"], item("", "T"), {"title": "T", "year": 1950}),
        (["*"], item("", "T"), {"title": "T"}),
    ],
)
def test_a_mask_says_what_is_changed(client: Client, new_id: str, mask: list[str], given: pb.Item, expected: dict):
    upsert(client, item(new_id, "Old", year=1950, genres=["War"]))
    change = pb.Item()
    change.CopyFrom(given)
    change.item_id = new_id
    assert plain(upsert(client, change, *mask).item) == expected
    assert plain(get(client, new_id)) == expected


def test_an_imported_item_is_changed_from_what_was_imported(client: Client, other: Client, toy):
    before = plain(get(client, "film-011"))
    assert upsert(client, item("film-011", **{k: v for k, v in before.items() if k != "title"})).outcome == UNCHANGED
    changed = upsert(client, item("film-011", price=9.5))
    assert changed.outcome == UPDATED
    assert plain(changed.item) == {**before, "price": 9.5}
    assert plain(get(other, "film-011")) == {**before, "price": 9.5}
    soon(lambda: listed(client, filter="price = 9.5") == ["film-011"])


def test_what_is_only_checked_is_not_stored(client: Client, new_id: str):
    would = upsert(client, item(new_id, "New"), validate_only=True)
    assert (would.outcome, would.item.title) == (CREATED, "New")
    with pytest.raises(grpc.RpcError) as failure:
        get(client, new_id)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_in_a_batch_each_is_by_itself_and_the_last_of_one_id_wins(client: Client, new_id: str):
    items = [
        item(new_id, "First", year=1950),
        item(f"{new_id}-b", year="soon"),
        item(new_id, "Second"),
        item(""),
        item("film-012"),
    ]
    answer = client.catalog.BatchUpsertItems(pb.BatchUpsertItemsRequest(product="news", items=items), timeout=5)
    assert [r.outcome for r in answer.results] == [CREATED, REJECTED, UPDATED, REJECTED, UNCHANGED]
    assert [r.id for r in answer.results] == [one.item_id for one in items]
    assert [r.problem.field for r in answer.results] == ["", "attributes[year]", "", "item_id", ""]
    assert plain(get(client, new_id)) == {"title": "Second", "year": 1950}
    for count in (0, 1001):
        request = pb.BatchUpsertItemsRequest(product="news", items=[item("x")] * count)
        with pytest.raises(grpc.RpcError) as failure:
            client.catalog.BatchUpsertItems(request, timeout=5)
        assert failure_of(failure.value).field == "items"


def test_a_deleted_item_is_gone_and_can_come_back(client: Client, new_id: str):
    def delete(item_id: str, **options: bool) -> bool:
        request = pb.DeleteItemRequest(product="news", item_id=item_id, **options)
        return client.catalog.DeleteItem(request, timeout=5).deleted

    upsert(client, item(new_id, "New", year=1950))
    assert delete(new_id, validate_only=True)
    assert get(client, new_id).title == "New"
    assert delete(new_id)
    for call in (lambda: get(client, new_id), lambda: delete(new_id), lambda: delete("never heard of")):
        with pytest.raises(grpc.RpcError) as failure:
            call()
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    assert not delete(new_id, allow_missing=True)
    back = upsert(client, item(new_id, "Back"))
    assert back.outcome == CREATED
    assert plain(back.item) == {"title": "Back"}
