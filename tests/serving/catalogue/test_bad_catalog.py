"""CatalogService: what does not fit the columns or the request is refused. Each field by itself: fields.py."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb

from ..catalog_calls import get, item, plain, upsert, value

CREATED = pb.UPSERT_OUTCOME_CREATED
UNCHANGED, REJECTED = pb.UPSERT_OUTCOME_UNCHANGED, pb.UPSERT_OUTCOME_REJECTED


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


BAD_ITEMS = {
    "a key with capitals": (item("x", Year=1), "attributes[Year]"),
    "a key that begins with a digit": (item("x", **{"1a": 1}), "attributes[1a]"),
    "the title as an attribute": (
        pb.Item(item_id="x", attributes={"title": value("t")}), "attributes[title]"),
    "the id as an attribute": (item("x", id="t"), "attributes[id]"),
    "text for a number": (item("x", year="1990"), "attributes[year]"),
    "a flag for a number": (item("x", year=True), "attributes[year]"),
    "a text for texts": (item("x", genres="War"), "attributes[genres]"),
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
    "text for a number": (bad_user(attributes={"age": "old"}), "profile.attributes[age]"),
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
    "a token of nobody's": (List(product="toy", page_token="abc"), "page_token"),
    "a token in another script": (List(product="toy", page_token="מרחבא"), "page_token"),
    "a filter that is none": (List(product="toy", filter="year >"), "filter"),
    "a filter over no column": (List(product="toy", filter="shoe = 3"), "filter"),
    "users' filter over items": (Users(product="toy", filter="year = 3"), "filter"),
    "users' token of nobody's": (Users(product="toy", page_token="e30="), "page_token"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_by_field(client: Client, case: str):
    request, field = WRONG[case]
    method = getattr(client.catalog, type(request).__name__.removesuffix("Request"))
    with pytest.raises(grpc.RpcError) as failure:
        method(request, timeout=5)
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
