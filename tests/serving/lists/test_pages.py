"""Pages: no item twice and none left out, whatever goes on; tokens that only fit their own request."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from cuvee.client import Client
from cuvee.config.pages import Pages as Table
from cuvee.serving.lists.pages import Pages, packed
from cuvee.testing.server import RunningServer
from cuvee.v1 import events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from pydantic import SecretStr

from ..conftest import PAGE_KEY

WAIT = 10


def recommend(client: Client, **fields: Any) -> pb.RecommendResponse:
    stub = rpc.RecommendationServiceStub(client.channel)
    return stub.Recommend(pb.RecommendRequest(**fields), timeout=WAIT)


def pages(client: Client, size: int, **fields: Any) -> Iterator[pb.RecommendResponse]:
    token = ""
    for _ in range(300):
        answer = recommend(client, page_size=size, page_token=token, **fields)
        yield answer
        token = answer.next_page_token
        if not token:
            return
    raise AssertionError("pages do not end")


@pytest.mark.parametrize(("product", "longest"), [("toy", 30), ("narrow", 100), ("ruled", 200), ("curious", 100)])
@pytest.mark.parametrize("user", ["viewer-000", "viewer-011", "nobody-knows"])
def test_pages_are_a_partition_of_the_long_list(server: RunningServer, product: str, longest: int, user: str) -> None:
    whole = [item.item_id for a in pages(server.client, longest, product=product, user_id=user) for item in a.items]
    found: list[str] = []
    for answer in pages(server.client, 7, product=product, user_id=user):
        assert [item.position for item in answer.items] == list(range(len(found), len(found) + len(answer.items)))
        found += [item.item_id for item in answer.items]
    assert len(set(found)) == len(found)
    if product == "curious":  # what is drawn for a longer list is scored with the others
        assert set(found) == set(whole)
    else:
        assert found == whole
    assert len(found) > 20


def test_similar_items_have_pages(server: RunningServer) -> None:
    stub = rpc.RecommendationServiceStub(server.client.channel)

    def ask(size: int, token: str = "") -> pb.SimilarItemsResponse:
        request = pb.SimilarItemsRequest(product="toy", item_ids=["film-000"], page_size=size, page_token=token)
        return stub.SimilarItems(request, timeout=WAIT)

    first = ask(4)
    second = ask(4, first.next_page_token)
    assert [i.item_id for i in [*first.items, *second.items]] == [i.item_id for i in ask(8).items]


def test_events_go_on_between_pages(stored_server: RunningServer, other: Client, new_id: str) -> None:
    """Over two servers in turns, with a click on each page's first item, and on one that was not shown yet."""
    found: list[str] = []
    ahead = {item.item_id for item in recommend(other, product="toy", user_id=new_id, page_size=30).items[-3:]}
    token, clicked = "", set()
    for turn in range(60):
        client = (stored_server.client, other)[turn % 2]
        answer = recommend(client, product="toy", user_id=new_id, page_size=5, page_token=token)
        found += [item.item_id for item in answer.items]
        names = {item.item_id for item in answer.items[:1]} | ({ahead.pop()} if ahead else set())
        events = [
            events_pb2.Event(
                product="toy", user_id=new_id, item_id=name, type=events_pb2.EVENT_TYPE_CLICK, event_id=f"{turn}-{name}"
            )
            for name in names
        ]
        if events:
            clicked |= names
            other.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=WAIT)
        token = answer.next_page_token
        if not token:
            break
    assert len(set(found)) == len(found)
    everything = {
        item.item_id for answer in pages(other, 30, product="toy", user_id="somebody-else") for item in answer.items
    }
    assert everything - clicked <= set(found), "whatever was not clicked before was shown"


def problem_of(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return raised.value.code(), info.reason, info.metadata.get("field", "")


ASKED = {"product": "toy", "user_id": "viewer-003", "page_size": 5}
WRONG = grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "page_token"


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "viewer-004"},
        {"product": "narrow"},
        {"filter": "year > 1950"},
        {"exclude_item_ids": ["film-001"]},
        {"context_item_ids": ["film-001"]},
        {"profile": pb.UserProfile(interests={"genres": pb.StringList(values=["Noir"])})},
    ],
)
def test_a_token_fits_its_own_request_alone(server: RunningServer, change: dict[str, Any]) -> None:
    token = recommend(server.client, **ASKED).next_page_token
    assert problem_of(lambda: recommend(server.client, **{**ASKED, **change, "page_token": token})) == WRONG
    other = pb.SimilarItemsRequest(product="toy", item_ids=["film-000"], page_token=token)
    stub = rpc.RecommendationServiceStub(server.client.channel)
    assert problem_of(lambda: stub.SimilarItems(other, timeout=WAIT)) == WRONG


@pytest.mark.parametrize("change", [{"page_size": 2}, {"view": pb.ATTRIBUTION_VIEW_BASIC}, {"count_removed": True}])
def test_what_may_change_from_page_to_page(server: RunningServer, change: dict[str, Any]) -> None:
    token = recommend(server.client, **ASKED).next_page_token
    assert recommend(server.client, **{**ASKED, **change, "page_token": token}).items[0].position == 5


def test_tampered_and_invented_tokens_are_refused(server: RunningServer) -> None:
    token = recommend(server.client, **ASKED).next_page_token
    other = "A" if token[0] != "A" else "B"
    forged = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token) - 1, 5)]
    forged += [other + token[1:], token[:-4], token[:10], token + "AAAA", token * 2, "x", "=", "é", "A" * 40_000, " "]
    for wrong in forged:
        assert problem_of(lambda wrong=wrong: recommend(server.client, **ASKED, page_token=wrong)) == WRONG, wrong
    batch = pb.BatchRecommendRequest(product="toy", requests=[pb.RecommendRequest(user_id="a", page_token="x")])
    (result,) = rpc.RecommendationServiceStub(server.client.channel).BatchRecommend(batch, timeout=WAIT)
    assert result.problem.field == "page_token"


@dataclass
class Snapshot:
    version: str


@dataclass
class Served:
    snapshot: Any
    revision: str


def made(answer: pb.RecommendResponse, *, key: str = PAGE_KEY, expire: float = 60.0, **change: str) -> str:
    """A token for the toy's second page, made here."""
    own = Pages(Table(key=SecretStr(key)).secret(None), expire, 1000)  # type: ignore[arg-type]
    pinned = {"version": answer.snapshot_version, "revision": answer.config_revision, **change}
    served = Served(Snapshot(pinned["version"]), pinned["revision"])
    return own.token(own.page(pb.RecommendRequest(**ASKED)), served, packed([0, 1, 2, 3, 70_000]))  # type: ignore[arg-type]


def test_tokens_work_wherever_the_key_is(server: RunningServer) -> None:
    first = recommend(server.client, **ASKED)
    assert recommend(server.client, **ASKED, page_token=made(first)).items[0].position == 5
    foreign = made(first, key="f" * 32)
    assert problem_of(lambda: recommend(server.client, **ASKED, page_token=foreign)) == WRONG
    late = made(first, expire=-1)
    assert problem_of(lambda: recommend(server.client, **ASKED, page_token=late)) == WRONG


@pytest.mark.parametrize("change", [{"version": "19990101T000000Z-0"}, {"revision": "0" * 12}])
def test_what_was_replaced_says_start_anew(server: RunningServer, change: dict[str, str]) -> None:
    token = made(recommend(server.client, **ASKED), **change)
    gone = grpc.StatusCode.ABORTED, "PAGE_GONE", ""
    assert problem_of(lambda: recommend(server.client, **ASKED, page_token=token)) == gone


def test_tokens_say_nothing(server: RunningServer) -> None:
    tokens = [
        recommend(server.client, product="toy", user_id=user, page_size=5).next_page_token
        for user in ("viewer-003", "viewer-003", "a" * 200)
    ]
    assert len({len(token) for token in tokens}) == 1
    assert len(set(tokens)) == 3
    raw = base64.urlsafe_b64decode(tokens[0] + "==")
    assert b"viewer" not in raw
    assert b"film" not in raw
