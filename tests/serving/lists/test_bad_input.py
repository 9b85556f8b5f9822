"""What is wrong with a request is told by code, field and reason, before any source is asked."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest
from cuvee.client import Client, failure_of, profile
from cuvee.v1 import recommendation_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

Recommend, Similar, Rank, Batch = (
    pb.RecommendRequest,
    pb.SimilarItemsRequest,
    pb.RankRequest,
    pb.BatchRecommendRequest,
)


def asks(**fields: Any) -> pb.RecommendRequest:
    return Recommend(**{"product": "toy", "user_id": "viewer-000", **fields})


INVALID = {
    "no product": (asks(product=""), "product"),
    "product id too long": (asks(product="x" * 257), "product"),
    "nobody": (Recommend(product="toy"), "user_id"),
    "nobody with an empty profile": (Recommend(product="toy", profile=pb.UserProfile()), "user_id"),
    "user id too long": (asks(user_id="x" * 257), "user_id"),
    "page size below 0": (asks(page_size=-1), "page_size"),
    "a page token": (asks(page_token="abc"), "page_token"),
    "filter that is no SQL": (asks(filter="year >"), "filter"),
    "filter with an open quote": (asks(filter="title = 'x"), "filter"),
    "filter over an unknown column": (asks(filter="price < 3"), "filter"),
    "filter that is not boolean": (asks(filter="year + 1"), "filter"),
    "filter that calls": (asks(filter="read_csv('/etc/passwd')"), "filter"),
    "filter that is a statement": (asks(filter="1 = 1; DROP TABLE items"), "filter"),
    "filter too long": (asks(filter="year = 1 OR " * 200 + "year = 2"), "filter"),
    "context too long": (asks(context_item_ids=["a"] * 201), "context_item_ids"),
    "an empty context id": (asks(context_item_ids=["film-001", ""]), "context_item_ids[1]"),
    "a context id too long": (asks(context_item_ids=["a", "b", "x" * 257]), "context_item_ids[2]"),
    "too many excluded": (asks(exclude_item_ids=["a"] * 1001), "exclude_item_ids"),
    "an empty excluded id": (asks(exclude_item_ids=[""]), "exclude_item_ids[0]"),
    "too many attributes": (asks(profile=profile({f"a{i}": 1 for i in range(65)})), "profile.attributes"),
    "text for a number": (asks(profile=profile({"age": "old"})), "profile.attributes[age]"),
    "number for a text": (asks(profile=profile({"occupation": 3})), "profile.attributes[occupation]"),
    "flag for a number": (asks(profile=profile({"age": True})), "profile.attributes[age]"),
    "texts for a text": (asks(profile=profile({"occupation": ["a", "b"]})), "profile.attributes[occupation]"),
    "a number that is none": (asks(profile=profile({"age": math.nan})), "profile.attributes[age]"),
    "an endless number": (asks(profile=profile({"anything": math.inf})), "profile.attributes[anything]"),
    "text too long": (asks(profile=profile({"occupation": "x" * 65_537})), "profile.attributes[occupation]"),
    "too many texts": (asks(profile=profile({"tags": ["a"] * 101})), "profile.attributes[tags].texts.values"),
    "too many interests": (
        asks(profile=profile(None, {f"c{i}": ["a"] for i in range(33)})),
        "profile.interests",
    ),
    "too many liked values": (
        asks(profile=profile(None, {"genres": ["a"] * 101})),
        "profile.interests[genres].values",
    ),
    "a liked value too long": (
        asks(profile=profile(None, {"genres": ["a", "x" * 257]})),
        "profile.interests[genres].values[1]",
    ),
    "no anchors": (Similar(product="toy"), "item_ids"),
    "too many anchors": (Similar(product="toy", item_ids=["a"] * 21), "item_ids"),
    "an empty anchor": (Similar(product="toy", item_ids=["a", ""]), "item_ids[1]"),
    "anchors with a page size below 0": (Similar(product="toy", item_ids=["a"], page_size=-5), "page_size"),
    "anchors with a bad filter": (Similar(product="toy", item_ids=["a"], filter="AND"), "filter"),
    "anchors with a token": (Similar(product="toy", item_ids=["a"], page_token="t"), "page_token"),
    "anchors with too many excluded": (
        Similar(product="toy", item_ids=["a"], exclude_item_ids=["a"] * 1001),
        "exclude_item_ids",
    ),
    "nothing to rank": (Rank(product="toy", user_id="viewer-000"), "item_ids"),
    "too much to rank": (Rank(product="toy", user_id="viewer-000", item_ids=["a"] * 1001), "item_ids"),
    "an empty id to rank": (Rank(product="toy", user_id="viewer-000", item_ids=[""]), "item_ids[0]"),
    "rank for nobody": (Rank(product="toy", item_ids=["a"]), "user_id"),
    "rank after a long context": (
        Rank(product="toy", item_ids=["a"], context_item_ids=["a"] * 201),
        "context_item_ids",
    ),
    "an empty batch": (Batch(product="toy"), "requests"),
    "a batch too long": (Batch(product="toy", requests=[asks()] * 1001), "requests"),
    "a batch without a product": (Batch(requests=[asks()]), "product"),
}


def call(client: Client, request: Any) -> Any:
    stub = client._stub
    match request:
        case pb.RecommendRequest():
            return stub.Recommend(request, timeout=5)
        case pb.SimilarItemsRequest():
            return stub.SimilarItems(request, timeout=5)
        case pb.RankRequest():
            return stub.Rank(request, timeout=5)
        case _:
            return list(stub.BatchRecommend(request, timeout=5))


def details(error: grpc.RpcError) -> dict[str, Any]:
    status = rpc_status.from_call(error)
    assert status is not None
    assert status.message == error.details()
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    return {
        kind.DESCRIPTOR.name: kind.FromString(packed.value)
        for packed in status.details
        for kind in kinds
        if packed.Is(kind.DESCRIPTOR)
    }


@pytest.mark.parametrize("case", INVALID)
def test_a_bad_field_is_named(client: Client, case: str):
    request, field = INVALID[case]
    with pytest.raises(grpc.RpcError) as failure:
        call(client, request)
    error = failure.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error.details()
    found = details(error)
    assert (found["ErrorInfo"].reason, found["ErrorInfo"].domain) == ("INVALID_ARGUMENT", "cuvee")
    assert found["ErrorInfo"].metadata["field"] == field
    violations = found["BadRequest"].field_violations
    assert [v.field for v in violations] == [field]
    assert violations[0].description
    assert failure_of(error).field == field


UNKNOWN = [
    asks(product="shoes"),
    Similar(product="shoes", item_ids=["a"]),
    Rank(product="shoes", user_id="u", item_ids=["a"]),
    Batch(product="shoes", requests=[asks()]),
]


@pytest.mark.parametrize("request_", UNKNOWN, ids=lambda r: type(r).__name__)
def test_an_unknown_product_is_not_found(client: Client, request_: Any):
    with pytest.raises(grpc.RpcError) as failure:
        call(client, request_)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    info = details(failure.value)["ErrorInfo"]
    assert (info.reason, dict(info.metadata)) == ("NOT_FOUND", {"resource": "product", "name": "shoes"})


def test_the_place_of_a_mistake_in_a_filter_is_told(client: Client):
    with pytest.raises(grpc.RpcError, match="column") as failure:
        client.recommend("toy", "viewer-000", filter="year >= 1990 AND AND year < 2000")
    assert "line 1, column" in failure.value.details()


def test_what_is_at_its_limit_is_taken(client: Client):
    answer = client.recommend(
        "toy",
        "x" * 256,
        context_item_ids=["film-001"] * 200,
        exclude_item_ids=[f"{i}" for i in range(1000)],
        profile=profile({f"a{i}": "x" for i in range(64)}, {f"c{i}": ["v"] * 100 for i in range(32)}),
        page_size=10**6,
    )
    assert len(answer.items) == 30, "coerced to the product's maximum"
    assert len(client.rank("toy", [f"film-{i:03d}" for i in range(120)] + ["?"] * 880, "viewer-000").items) == 120


def test_a_message_that_is_none_is_invalid_too(client: Client):
    raw = client.channel.unary_unary("/cuvee.v1.RecommendationService/Recommend")
    for broken in (b"\xff\xff\xff", b"\x0a\x02\xff\xfe"):
        with pytest.raises(grpc.RpcError) as failure:
            raw(broken, timeout=5)
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details(failure.value)["ErrorInfo"].reason == "INVALID_ARGUMENT"


def test_a_message_that_is_too_large_is_refused(client: Client):
    with pytest.raises(grpc.RpcError) as failure:
        client.recommend("toy", "x" * (5 * 2**20))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_in_a_batch_a_wrong_request_leaves_the_others_alone(client: Client):
    requests = [
        asks(product=""),
        asks(product="", page_size=-1),
        asks(product="narrow"),
        asks(product="", filter="year >"),
        asks(),
        Recommend(),
        asks(product="", validate_only=True),
    ]
    found = {r.index: r for r in client.batch_recommend("toy", requests)}
    assert sorted(found) == list(range(7))
    assert {i: r.problem.field for i, r in found.items() if r.HasField("problem")} == {
        1: "page_size",
        2: "product",
        3: "filter",
        5: "user_id",
    }
    assert all(found[i].problem.code == 3 and found[i].problem.reason == "INVALID_ARGUMENT" for i in (1, 2, 3, 5))
    assert found[1].problem.message
    assert len(found[0].response.items) == len(found[4].response.items) == 5
    assert not found[6].response.items
    assert found[0].user_id == "viewer-000"
