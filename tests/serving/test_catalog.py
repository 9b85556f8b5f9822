"""CatalogService: items and users over what was imported, one by one, in batches, in pages."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2
from cuvee.v1 import recommendation_pb2 as rec
from google.protobuf.field_mask_pb2 import FieldMask

from .conftest import ENVIRONMENT

CREATED, UPDATED = pb.UPSERT_OUTCOME_CREATED, pb.UPSERT_OUTCOME_UPDATED
UNCHANGED, REJECTED = pb.UPSERT_OUTCOME_UNCHANGED, pb.UPSERT_OUTCOME_REJECTED
NUMBERS = itertools.count()
CLEARED, NOTHING, PENDING = (getattr(pb.ClearedPlace, f"OUTCOME_{n}") for n in ("CLEARED", "NOTHING_FOUND", "PENDING"))


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


@pytest.fixture
def new_id() -> str:
    return f"new-{next(NUMBERS)}"


def value(given: object) -> rec.AttributeValue:
    return profile({"x": given}).attributes["x"]  # type: ignore[dict-item]


def item(item_id: str, title: str = "", **attributes: object) -> pb.Item:
    return pb.Item(item_id=item_id, title=title, attributes={name: value(one) for name, one in attributes.items()})


def upsert(client: Client, one: pb.Item, *mask: str, product: str = "news", **options: Any) -> pb.UpsertItemResponse:
    request = pb.UpsertItemRequest(product=product, item=one, update_mask=FieldMask(paths=mask), **options)
    return client.catalog.UpsertItem(request, timeout=5)


def get(client: Client, item_id: str, product: str = "news") -> pb.Item:
    return client.catalog.GetItem(pb.GetItemRequest(product=product, item_id=item_id), timeout=5).item


def plain(one: pb.Item) -> dict[str, object]:
    found: dict[str, object] = {"title": one.title}
    for name, given in one.attributes.items():
        kind = given.WhichOneof("value")
        found[name] = list(given.texts.values) if kind == "texts" else getattr(given, kind)
    return found


def listed(client: Client, **fields: Any) -> list[str]:
    return [i.item_id for i in client.recommend("news", page_size=100, **{"user_id": "reader", **fields}).items]


def soon(check: Any, seconds: float = 10.0) -> float:
    """Wait until a check holds; gives the seconds that it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds, "it never came to that"
        time.sleep(0.01)
    return time.monotonic() - began


# what is there


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


# how fast it is seen


def test_a_new_item_is_recommended_by_every_process_without_a_refit(client: Client, other: Client, new_id: str):
    upsert(client, item(new_id, "Tomorrow", year=2990))
    for process in (client, other):
        soon(lambda process=process: listed(process)[0] == new_id)
    answer = other.recommend("news", "reader")
    assert (answer.items[0].item_id, answer.items[0].title) == (new_id, "Tomorrow")
    assert not answer.degraded


def test_what_is_not_available_or_deleted_leaves_the_lists_at_once(client: Client, other: Client, new_id: str):
    upsert(client, item(new_id, year=2991))
    for process in (client, other):
        soon(lambda process=process: new_id in listed(process))
    assert upsert(client, item(new_id, available=False)).outcome == UPDATED
    assert new_id not in listed(client), "the very next list"
    soon(lambda: new_id not in listed(other))
    upsert(client, item(new_id, available=True))
    for process in (client, other):
        soon(lambda process=process: new_id in listed(process))
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id=new_id), timeout=5)
    assert new_id not in listed(client)
    soon(lambda: new_id not in listed(other))


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


# pages


def pages(client: Client, size: int, sql: str = "") -> list[list[str]]:
    found, token = [], ""
    while True:
        request = pb.ListItemsRequest(product="toy", page_size=size, page_token=token, filter=sql)
        answer = client.catalog.ListItems(request, timeout=5)
        found.append([one.item_id for one in answer.items])
        token = answer.next_page_token
        if not token:
            return found


def test_items_are_paged_by_code_point_with_what_is_new_and_without_what_is_gone(client: Client, toy):
    there = set(toy.grown.items.frame["id"])
    new = {"A first", "film-0005", "zebra", "äther", "\U0001f600"}
    for one in new:
        upsert(client, item(one, year=1999), product="toy")
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="toy", item_id="film-007"), timeout=5)
    expected = sorted((there | new) - {"film-007"})
    for size in (7, 1000):
        found = pages(client, size)
        assert list(itertools.chain.from_iterable(found)) == expected
        assert all(len(page) <= size for page in found)
    assert pages(client, 2, "year = 1999 AND title IS NULL")[0] == sorted(new)[:2]
    assert len(client.catalog.ListItems(pb.ListItemsRequest(product="toy"), timeout=5).items) == 50


def test_users_are_paged_and_filtered(client: Client, toy):
    there = set(toy.grown.users.frame["id"])
    users = [pb.User(user_id=u, profile=profile({"age": 1000 + n})) for n, u in enumerate(("Aaron", "zoe", "ömer"))]
    client.catalog.BatchUpsertUsers(pb.BatchUpsertUsersRequest(product="toy", users=users), timeout=5)

    def all_pages(size: int, sql: str = "") -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListUsersRequest(product="toy", page_size=size, page_token=token, filter=sql)
            answer = client.catalog.ListUsers(request, timeout=5)
            assert len(answer.users) <= size
            found += [one.user_id for one in answer.users]
            token = answer.next_page_token
            if not token:
                return found

    everyone = all_pages(7)
    assert everyone == sorted(set(everyone))
    assert {*there, "Aaron", "zoe", "ömer"} <= set(everyone)
    assert all_pages(1000) == everyone
    assert all_pages(2, "age >= 1000") == sorted(["Aaron", "zoe", "ömer"])


# users


def test_a_stored_profile_is_used_and_one_that_was_imported_is_changed(client: Client, toy, new_id: str):
    def put(user: pb.User, *mask: str) -> pb.UpsertUserResponse:
        request = pb.UpsertUserRequest(product="toy", user=user, update_mask=FieldMask(paths=mask))
        return client.catalog.UpsertUser(request, timeout=5)

    made = put(pb.User(user_id=new_id, profile=profile({"age": 30}, {"genres": ["Noir"]})))
    assert made.outcome == CREATED
    assert put(pb.User(user_id=new_id, profile=profile({"age": 30}))).outcome == UNCHANGED
    assert client.recommend("toy", new_id).user_known
    changed = put(pb.User(user_id="viewer-001", profile=profile({"age": 99})))
    assert changed.outcome == UPDATED
    occupation = toy.grown.users.row(1)["occupation"]
    assert changed.user.profile.attributes["occupation"].text == occupation
    gone = put(pb.User(user_id="viewer-001"), "profile.attributes.occupation")
    assert list(gone.user.profile.attributes) == ["age"]
    got = client.catalog.GetUser(pb.GetUserRequest(product="toy", user_id="viewer-001"), timeout=5)
    assert got.user == gone.user
    assert got.event_count == len(toy.data.events.row(1))


def test_a_user_who_is_forgotten_is_new(client: Client, other: Client, toy):
    event = events_pb2.Event(product="toy", user_id="viewer-002", item_id="film-004", type=1, event_id="forget-me")
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=5)
    for process in (client, other):
        assert process.recommend("toy", "viewer-002").segment == "warm"
    exported = list(client.catalog.ExportUser(pb.ExportUserRequest(product="toy", user_id="viewer-002"), timeout=5))
    assert exported[0].WhichOneof("record") == "user"
    assert {r.place for r in exported[1:]} == {"dataset.toy", "store.events"}
    assert len(exported) == 2 + len(toy.data.events.row(2))
    times = [r.event.event_time.ToMicroseconds() for r in exported[1:]]
    assert times == sorted(times)
    assert exported[-1].event.event_id == "forget-me"

    def delete(**options: Any) -> pb.DeleteUserResponse:
        request = pb.DeleteUserRequest(**{"product": "toy", "user_id": "viewer-002", **options})
        return client.catalog.DeleteUser(request, timeout=5)

    def outcomes(answer: pb.DeleteUserResponse) -> dict[str, int]:
        return {p.place.partition(".2")[0]: p.outcome for p in answer.places}

    would, done = delete(validate_only=True), delete()
    assert outcomes(would) == outcomes(done)
    assert [(p.place, p.record_count) for p in would.places] == [(p.place, p.record_count) for p in done.places]
    found = outcomes(done)
    assert (found["store.events"], found["store.users"], found["cache.histories"]) == (CLEARED, NOTHING, CLEARED)
    assert (found["dataset.toy"], found["snapshot"]) == (PENDING, PENDING)
    assert not done.complete
    for process in (client, other):
        answer = process.recommend("toy", "viewer-002")
        assert (answer.segment, answer.user_known) == ("cold", False)
    again = outcomes(delete())
    assert (again["store.events"], again["cache.histories"], again["dataset.toy"]) == (NOTHING, NOTHING, PENDING)
    with pytest.raises(grpc.RpcError) as failure:
        client.catalog.GetUser(pb.GetUserRequest(product="toy", user_id="viewer-002"), timeout=5)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_visitor_is_forgotten_wholly_in_every_product(client: Client, stored_server: RunningServer, new_id: str):
    events = [
        events_pb2.Event(product=p, session_id=new_id, item_id="film-004", type=1, event_id=f"{new_id}-x{n}")
        for n, p in enumerate(("toy", "news", "toy"))
    ]
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=5)
    client.recommend("toy", new_id)
    done = client.catalog.DeleteUser(pb.DeleteUserRequest(product="-", user_id=new_id), timeout=5)
    assert done.complete
    counts = {(p.product, p.place): p.record_count for p in done.places if p.outcome == CLEARED}
    assert counts == {("toy", "store.events"): 2, ("news", "store.events"): 1, ("toy", "cache.histories"): 1}
    with pytest.raises(grpc.RpcError) as failure:
        client.catalog.DeleteUser(pb.DeleteUserRequest(product="-", user_id=new_id), timeout=5)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    request = pb.DeleteUserRequest(product="-", user_id=new_id, allow_missing=True)
    assert client.catalog.DeleteUser(request, timeout=5).complete
    assert new_id not in stored_server.log


# bad input

BAD_ITEMS = {
    "no id": (item(""), "item_id"),
    "id too long": (item("x" * 257), "item_id"),
    "id with NUL": (item("a\0"), "item_id"),
    "title too long": (item("x", "t" * 1025), "title"),
    "title with NUL": (item("x", "\0"), "title"),
    "too many attributes": (item("x", **{f"a{n}": 1 for n in range(257)}), "attributes"),
    "a key with capitals": (item("x", Year=1), "attributes[Year]"),
    "a key that begins with a digit": (item("x", **{"1a": 1}), "attributes[1a]"),
    "an empty key": (item("x", **{"": 1}), "attributes[]"),
    "a key too long": (item("x", **{"a" * 65: 1}), f"attributes[{'a' * 65}]"),
    "the title as an attribute": (
        pb.Item(item_id="x", attributes={"title": value("t")}), "attributes[title]"),
    "the id as an attribute": (item("x", id="t"), "attributes[id]"),
    "text for a number": (item("x", year="1990"), "attributes[year]"),
    "a flag for a number": (item("x", year=True), "attributes[year]"),
    "a text for texts": (item("x", genres="War"), "attributes[genres]"),
    "not a number": (item("x", year=math.nan), "attributes[year]"),
    "endless": (item("x", year=-math.inf), "attributes[year]"),
    "a text too long": (item("x", blurb="x" * 65_537), "attributes[blurb]"),
    "a text with NUL": (item("x", blurb="a\0"), "attributes[blurb]"),
    "texts with NUL": (item("x", genres=["a\0"]), "attributes[genres]"),
    "too many texts": (item("x", genres=["a"] * 101), "attributes[genres].texts.values"),
    "a text of texts too long": (item("x", genres=["a", "x" * 257]), "attributes[genres].texts.values[1]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ITEMS)
def test_a_bad_item_is_refused_by_field(client: Client, case: str):
    bad, field = BAD_ITEMS[case]
    with pytest.raises(grpc.RpcError) as failure:
        upsert(client, bad)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure_of(failure.value).field == f"item.{field}"
    batch = pb.BatchUpsertItemsRequest(product="news", items=[item("film-012"), bad])
    results = client.catalog.BatchUpsertItems(batch, timeout=5).results
    assert [r.outcome for r in results] == [UNCHANGED, REJECTED]
    assert results[1].problem.field == field


GOOD_ITEMS = {
    "the longest": item("i" * 256, "t" * 1024, **{"a" * 64: "x" * 65_536}),
    "right to left": item("\u202eمدخل", "مدخل \u2067", blurb="\u200f"),
    "beyond the basic plane": item("\U0001f600" * 256, "\U0001f600" * 1024),
    "quotes": item("'; DROP TABLE cuvee_items; --", '"\\', blurb="%s {} \n"),
    "extremes": item("extremes", price=1.7e308, year=-5e-324, genres=[], on_sale=False),
    "a hundred texts": item("texts", genres=[f"{n}" * 64 for n in range(100)]),
}


@pytest.mark.parametrize("case", GOOD_ITEMS)
def test_a_good_item_comes_back_as_it_was(client: Client, case: str):
    good = GOOD_ITEMS[case]
    upsert(client, good)
    assert plain(get(client, good.item_id)) == plain(good)
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="news", item_id=good.item_id), timeout=5)


def bad_user(user_id: str = "x", **fields: Any) -> pb.User:
    return pb.User(user_id=user_id, profile=profile(**fields))


BAD_USERS = {
    "no id": (bad_user(""), "user_id"),
    "id too long": (bad_user("x" * 257), "user_id"),
    "id with NUL": (bad_user("\0"), "user_id"),
    "too many attributes": (bad_user(attributes={f"a{n}": 1 for n in range(65)}), "profile.attributes"),
    "text for a number": (bad_user(attributes={"age": "old"}), "profile.attributes[age]"),
    "not a number": (bad_user(attributes={"age": math.nan}), "profile.attributes[age]"),
    "an empty key": (bad_user(attributes={"": 1}), "profile.attributes"),
    "a key too long": (bad_user(attributes={"k" * 65: 1}), f"profile.attributes[{'k' * 65}]"),
    "a text with NUL": (bad_user(attributes={"occupation": "\0"}), "profile.attributes[occupation]"),
    "too many interests": (bad_user(interests={f"c{n}": ["a"] for n in range(33)}), "profile.interests"),
    "too many liked": (bad_user(interests={"genres": ["a"] * 101}), "profile.interests[genres].values"),
    "liked with NUL": (bad_user(interests={"genres": ["\0"]}), "profile.interests[genres].values"),
    "liked too long": (bad_user(interests={"genres": ["x" * 257]}), "profile.interests[genres].values[0]"),
}


@pytest.mark.parametrize("case", BAD_USERS)
def test_a_bad_user_is_refused_by_field(client: Client, case: str):
    bad, field = BAD_USERS[case]
    with pytest.raises(grpc.RpcError) as failure:
        client.catalog.UpsertUser(pb.UpsertUserRequest(product="toy", user=bad), timeout=5)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure_of(failure.value).field == f"user.{field}"
    batch = pb.BatchUpsertUsersRequest(product="toy", users=[bad, bad_user("fine", attributes={"age": 1})])
    results = client.catalog.BatchUpsertUsers(batch, timeout=5).results
    assert results[0].outcome == REJECTED
    assert results[0].problem.field == field
    assert results[1].outcome in {CREATED, UNCHANGED}


Get, List, Users, Delete, Forget = (
    pb.GetItemRequest, pb.ListItemsRequest, pb.ListUsersRequest, pb.DeleteItemRequest, pb.DeleteUserRequest,
)  # fmt: skip
WRONG = {
    "no product": (Get(item_id="x"), "product"),
    "no item": (Get(product="toy"), "item_id"),
    "an item too long": (Get(product="toy", item_id="x" * 257), "item_id"),
    "an item with NUL": (Get(product="toy", item_id="\0"), "item_id"),
    "a page of less than nothing": (List(product="toy", page_size=-1), "page_size"),
    "a token of nobody's": (List(product="toy", page_token="abc"), "page_token"),
    "a token in another script": (List(product="toy", page_token="מרחבא"), "page_token"),
    "a filter that is none": (List(product="toy", filter="year >"), "filter"),
    "a filter over no column": (List(product="toy", filter="shoe = 3"), "filter"),
    "a filter too long": (List(product="toy", filter="year = 1 OR " * 200), "filter"),
    "users' filter over items": (Users(product="toy", filter="year = 3"), "filter"),
    "users' page below nothing": (Users(product="toy", page_size=-3), "page_size"),
    "users' token of nobody's": (Users(product="toy", page_token="e30="), "page_token"),
    "delete nothing": (Delete(product="toy"), "item_id"),
    "forget nobody": (Forget(product="toy"), "user_id"),
    "forget without a product": (Forget(user_id="x"), "product"),
    "export nobody": (pb.ExportUserRequest(product="toy"), "user_id"),
    "get nobody": (pb.GetUserRequest(product="toy"), "user_id"),
    "a mask of no path": (pb.UpsertItemRequest(
        product="toy", item=item("x"), update_mask=FieldMask(paths=["price"])), "update_mask"),
    "a mask of all and more": (pb.UpsertItemRequest(
        product="toy", item=item("x"), update_mask=FieldMask(paths=["*", "title"])), "update_mask"),
    "a mask of no user's path": (pb.UpsertUserRequest(
        product="toy", user=pb.User(user_id="x"), update_mask=FieldMask(paths=["profile"])), "update_mask"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_by_field(client: Client, case: str):
    request, field = WRONG[case]
    method = getattr(client.catalog, type(request).__name__.removesuffix("Request"))
    with pytest.raises(grpc.RpcError) as failure:
        answer = method(request, timeout=5)
        list(answer) if case.startswith("export") else answer
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT, failure.value
    assert failure_of(failure.value).field == field


def test_a_token_belongs_to_its_request(client: Client):
    token = client.catalog.ListItems(List(product="toy", page_size=3), timeout=5).next_page_token
    assert token
    for other_one in (List(product="news", page_token=token), List(product="toy", page_token=token, filter="year > 1")):
        with pytest.raises(grpc.RpcError) as failure:
            client.catalog.ListItems(other_one, timeout=5)
        assert failure_of(failure.value).field == "page_token"


def test_an_unknown_product_is_not_found(client: Client):
    for request in (Get(product="shoes", item_id="x"), List(product="shoes"), Forget(product="shoes", user_id="x")):
        with pytest.raises(grpc.RpcError) as failure:
            getattr(client.catalog, type(request).__name__.removesuffix("Request"))(request, timeout=5)
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND
