"""CatalogService: what is wrong is refused by the path of its field."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from .catalog_calls import get, item, plain, upsert, value

CREATED = pb.UPSERT_OUTCOME_CREATED
UNCHANGED, REJECTED = pb.UPSERT_OUTCOME_UNCHANGED, pb.UPSERT_OUTCOME_REJECTED


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


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
