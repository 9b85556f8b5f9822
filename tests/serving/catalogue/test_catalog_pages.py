"""CatalogService: pages of items and users, by code point."""

from __future__ import annotations

import itertools

import pytest
from cuvee.client import Client, profile
from cuvee.testing import RunningServer
from cuvee.v1 import catalog_pb2 as pb

from ..catalog_calls import item, upsert

NUMBERS = itertools.count()


@pytest.fixture
def client(stored_server: RunningServer) -> Client:
    return stored_server.client


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
