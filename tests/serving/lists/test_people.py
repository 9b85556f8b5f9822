"""To whom an item should be shown: scores are Rank's, pages a partition, and nobody comes who must not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.data.dataset import Dataset
from cuvee.testing import Toy
from cuvee.testing.server import RunningServer
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

NUMBERS = itertools.count()
FILM = "film-006"


@pytest.fixture(scope="module")
def data(toy: Toy) -> Dataset:
    """What the server has: some items and users are newer than the models."""
    return toy.data.with_catalog(toy.grown)


def pages(client: Client, size: int, product: str = "toy", item: str = FILM, **fields: Any) -> Iterator[Any]:
    token = ""
    for _ in range(200):
        answer = client.recommend_users(product, item, page_size=size, page_token=token, **fields)
        yield answer
        token = answer.next_page_token
        if not token:
            return
    raise AssertionError("pages do not end")


def everybody(client: Client, product: str = "toy", item: str = FILM, **fields: Any) -> list[pb.RecommendedUser]:
    return [user for answer in pages(client, 1000, product, item, **fields) for user in answer.users]


def ids(users: list[pb.RecommendedUser]) -> list[str]:
    return [user.user_id for user in users]


def compared(data: Dataset, item: str) -> list[str]:
    """The item, and those that it is compared with, as the proto names them."""
    names = data.catalog.items.frame["id"].to_list()
    counts = np.bincount(data.events.items, minlength=len(names))
    order = np.argsort(-counts, kind="stable").tolist()
    return [item, *[names[at] for at in order if names[at] != item][:100]]


def has_seen(data: Dataset, item: str) -> set[str]:
    rows = data.events.rows[data.events.items == data.catalog.items.position(item)]
    return {data.catalog.users.frame["id"][int(row)] for row in rows}


@pytest.mark.parametrize("product", ["toy", "ruled", "narrow", "fused", "trending"])
def test_scores_and_shares_are_those_of_rank(client: Client, data: Dataset, product: str) -> None:
    found = everybody(client, product, include_seen=True)
    assert len(found) == data.n_users
    for user in found[::7]:
        ranked = client.rank(product, compared(data, FILM), user.user_id)
        own = next(one for one in ranked.items if one.item_id == FILM)
        assert user.score == pytest.approx(own.score, abs=1e-6)
        assert [a.source for a in user.attributions] == [a.source for a in own.attributions]
        for mine, theirs in zip(user.attributions, own.attributions, strict=True):
            assert mine.contribution == pytest.approx(theirs.contribution, abs=1e-6)
            assert mine.weight == pytest.approx(theirs.weight, abs=1e-6)
            assert mine.HasField("raw") == theirs.HasField("raw")
        assert sum(a.contribution for a in user.attributions) == pytest.approx(user.score, abs=1e-5)
    order = [(-user.score, user.user_id) for user in found]
    assert order == sorted(order)
    assert [user.position for user in found] == list(range(len(found)))


def test_whoever_likes_such_films_comes_first(client: Client, data: Dataset) -> None:
    """Films of even numbers are liked by one tribe, those of odd ones by the other."""
    tribe = {
        name: np.bincount(data.events.row(at) % 2, minlength=2).argmax() if len(data.events.row(at)) else 2
        for at, name in enumerate(data.catalog.users.frame["id"].to_list())
    }
    for item, own in (("film-006", 0), ("film-007", 1)):
        first = everybody(client, item=item)[:20]
        assert sum(tribe[user.user_id] == own for user in first) >= 18


@pytest.mark.parametrize("fields", [{}, {"filter": "age < 40"}, {"include_seen": True}])
def test_pages_are_a_partition(client: Client, fields: dict[str, Any]) -> None:
    whole = everybody(client, **fields)
    found: list[str] = []
    for answer in pages(client, 9, **fields):
        assert [user.position for user in answer.users] == list(range(len(found), len(found) + len(answer.users)))
        assert answer.scored_users == len(whole) - len(found)
        found += ids(answer.users)
    assert found == ids(whole)
    assert len(found) > 20


FILTERS = {
    "age < 40": lambda row: row["age"] is not None and row["age"] < 40,
    "occupation = 'student'": lambda row: row["occupation"] == "student",
    "occupation IN ('farmer', 'engineer') AND NOT age > 45": lambda row: (
        row["occupation"] in {"farmer", "engineer"} and row["age"] <= 45
    ),
    "id = 'viewer-003'": lambda row: row["id"] == "viewer-003",
    "age < 0": lambda _: False,
}


@pytest.mark.parametrize("sql", FILTERS)
def test_filters_hold_and_leave_out_nobody_else(client: Client, data: Dataset, sql: str) -> None:
    wanted = {row["id"] for row in data.catalog.users.frame.to_dicts() if FILTERS[sql](row)}
    assert set(ids(everybody(client, filter=sql, include_seen=True))) == wanted


def test_who_has_seen_it_is_left_out(client: Client, data: Dataset) -> None:
    names = set(data.catalog.users.frame["id"].to_list())
    seen = has_seen(data, FILM)
    assert seen
    # of "toy" the rule exclude_seen says so; "trending" has no rules
    for product in ("toy", "trending"):
        assert set(ids(everybody(client, product))) == names - seen
        assert set(ids(everybody(client, product, include_seen=True))) == names


def test_excluded_users_stay_away_and_unknown_ones_are_told(client: Client) -> None:
    whole = ids(everybody(client))
    out = [*whole[:3], "nobody", "nobody", *whole[-2:]]
    answer = client.recommend_users("toy", FILM, page_size=1000, exclude_user_ids=out)
    assert ids(answer.users) == whole[3:-2]
    assert answer.unknown_user_ids == ["nobody"]


@pytest.mark.parametrize(
    ("product", "item", "known"),
    [("toy", "no-such-film", False), ("ruled", "film-009", True), ("filled", "film-009", True)],
)
def test_what_may_not_be_shown_is_for_nobody(
    client: Client, data: Dataset, product: str, item: str, known: bool
) -> None:
    if product == "filled":  # only films from 1960 on
        frame = data.catalog.items.frame
        item = frame.filter(frame["year"] < 1960)["id"][0]
    answer = client.recommend_users(product, item)
    assert (len(answer.users), answer.item_known, answer.next_page_token) == (0, known, "")
    assert answer.recommendation_id


def test_a_source_that_fails_leaves_the_others(client: Client, data: Dataset) -> None:
    answer = client.recommend_users("failing", FILM, page_size=1000, include_seen=True)
    assert len(answer.users) == data.n_users
    assert answer.degraded
    told = {source.source: source.status for source in answer.sources}
    assert told["garbage_scores"] == pb.SourceStatus.STATUS_DEGRADED
    assert told["pairs"] == told["popular"] == pb.SourceStatus.STATUS_LIVE
    assert all(math.isfinite(user.score) for user in answer.users)


def test_basic_view_has_no_shares(client: Client) -> None:
    answer = client.recommend_users("toy", FILM, view=pb.ATTRIBUTION_VIEW_BASIC)
    assert len(answer.users) == 5, "the product's own page size"
    assert not any(user.attributions for user in answer.users)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"item_id": ""}, "item_id"),
        ({"item_id": "x" * 257}, "item_id"),
        ({"page_size": -1}, "page_size"),
        ({"filter": "age <"}, "filter"),
        ({"filter": "year > 1990"}, "filter"),
        ({"filter": "x" * 2001}, "filter"),
        ({"exclude_user_ids": ["a"] * 1001}, "exclude_user_ids"),
        ({"exclude_user_ids": ["a", ""]}, "exclude_user_ids[1]"),
        ({"page_token": "x"}, "page_token"),
    ],
)
def test_what_is_wrong_names_its_field(client: Client, fields: dict[str, Any], at: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        client.recommend_users(**{"product": "toy", "item_id": FILM, **fields})
    failure = failure_of(raised.value)
    assert (failure.code, failure.field) == (grpc.StatusCode.INVALID_ARGUMENT, at)


@pytest.mark.parametrize(
    "change", [{"item_id": "film-007"}, {"product": "narrow"}, {"filter": "age < 99"}, {"include_seen": True}]
)
def test_a_token_fits_its_own_request_alone(client: Client, change: dict[str, Any]) -> None:
    asked = {"product": "toy", "item_id": FILM, "page_size": 3}
    token = client.recommend_users(**asked).next_page_token
    assert client.recommend_users(**{**asked, "page_size": 7}, page_token=token).users[0].position == 3
    with pytest.raises(grpc.RpcError) as raised:
        client.recommend_users(**{**asked, **change}, page_token=token)
    assert failure_of(raised.value).field == "page_token"


def test_calls_that_are_given_up_leave_their_places_to_others(client: Client) -> None:
    for _ in range(80):  # more than the lane takes and lets wait
        client._stub.RecommendUsers.future(pb.RecommendUsersRequest(product="toy", item_id=FILM)).cancel()
    assert client.recommend_users("toy", FILM).users


def wrote(client: Client, user: str, *items: str) -> None:
    events = [
        events_pb2.Event(product="toy", user_id=user, item_id=item, type=1, event_id=f"people-{next(NUMBERS)}")
        for item in items
    ]
    assert client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=10).stored_count == len(
        items
    )


def delete(client: Client, user: str) -> None:
    client.catalog.DeleteUser(catalog_pb2.DeleteUserRequest(product="toy", user_id=user), timeout=10)


def test_stored_users_come_as_soon_as_they_are_written(
    stored_server: RunningServer, other: Client, data: Dataset, new_id: str
) -> None:
    client = stored_server.client
    assert new_id not in ids(everybody(other))
    wrote(client, new_id, "film-000", "film-002", "film-004")
    told = catalog_pb2.User(user_id=f"{new_id}-told", profile=profile({"age": 7, "occupation": "pupil"}))
    client.catalog.UpsertUser(catalog_pb2.UpsertUserRequest(product="toy", user=told), timeout=10)
    found = {user.user_id: user for user in everybody(other, include_seen=True)}
    assert {new_id, told.user_id} <= set(found)
    own = next(one for one in other.rank("toy", compared(data, FILM), new_id).items if one.item_id == FILM)
    assert found[new_id].score == pytest.approx(own.score, abs=1e-6)
    assert ids(everybody(other, filter="occupation = 'pupil'")) == [told.user_id]
    wrote(client, new_id, FILM)
    assert new_id not in ids(everybody(other))
    assert new_id in ids(everybody(other, include_seen=True))
    delete(client, new_id)
    delete(client, told.user_id)
    assert not {new_id, told.user_id} & set(ids(everybody(other, include_seen=True)))


def test_a_stored_profile_stands_in_place_of_the_imported_one(stored_server: RunningServer) -> None:
    client = stored_server.client
    name = ids(everybody(client, filter="occupation = 'student'"))[0]
    told = catalog_pb2.User(user_id=name, profile=profile({"occupation": "pilot"}))
    client.catalog.UpsertUser(catalog_pb2.UpsertUserRequest(product="toy", user=told), timeout=10)
    assert ids(everybody(client, filter="occupation = 'pilot'")) == [name]
    assert name not in ids(everybody(client, filter="occupation = 'student'"))


def test_whoever_was_deleted_comes_no_more(stored_server: RunningServer, other: Client) -> None:
    name = ids(everybody(other))[-1]
    delete(stored_server.client, name)
    assert name not in ids(everybody(other, include_seen=True))
    answer = other.recommend_users("toy", FILM, exclude_user_ids=[name])
    assert answer.unknown_user_ids == [name]


def test_events_go_on_between_pages(stored_server: RunningServer, other: Client, new_id: str) -> None:
    """Over two servers in turns; users of pages that are still to come see the item or change their history."""
    before = ids(everybody(other))
    found: list[str] = []
    gone: set[str] = set()
    token = ""
    for turn in itertools.count():
        client = (stored_server.client, other)[turn % 2]
        answer = client.recommend_users("toy", FILM, page_size=8, page_token=token)
        found += ids(answer.users)
        token = answer.next_page_token
        if not token:
            break
        ahead = [one for one in before if one not in found]
        if ahead and turn % 2:
            gone.add(ahead[-1])
            wrote(other, ahead[-1], FILM)
        for one in (*ahead[:1], *found[:1], f"{new_id}-{turn}"):
            wrote(other, one, "film-001", "film-003")
    assert len(set(found)) == len(found)
    assert set(before) - gone <= set(found)
