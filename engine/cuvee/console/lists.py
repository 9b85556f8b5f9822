"""A list as the page needs it: every candidate with each source's part, so that the browser can weigh them anew."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cuvee.client import AsyncClient, profile_in_texts
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["Asked", "ask"]

TIMEOUT = 10.0
"""Seconds; the server has a limit of its own."""
WANTED = 500
"""Candidates to weigh. The server gives as many as the product's ``page_size.max`` in one answer."""


class Asked(BaseModel):
    """What the form of the page has, in the API's own names; limits are the server's."""

    model_config = ConfigDict(extra="forbid")

    product: str
    user_id: str = ""
    context_item_ids: list[str] = Field(default_factory=list)
    attributes: list[str] = Field(default_factory=list)
    """``column=value``"""
    interests: list[str] = Field(default_factory=list)
    """``column=value,value``"""
    filter: str = ""


async def ask(client: AsyncClient, asked: Asked) -> dict[str, Any]:
    """The list, as plain values; further pages are fetched while there are some and more are wanted.

    Raises:
        grpc.RpcError: the server cannot answer, or refuses the request.
        InvalidArgument: an attribute or interest is not column=value.
    """
    stub: Any = rpc.RecommendationServiceStub(client.channel)
    request = pb.RecommendRequest(
        product=asked.product,
        user_id=asked.user_id,
        context_item_ids=asked.context_item_ids,
        profile=profile_in_texts(asked.attributes, asked.interests),
        page_size=WANTED,
        filter=asked.filter,
        view=pb.ATTRIBUTION_VIEW_FULL,
        count_removed=True,
        preview=True,
    )
    answer: pb.RecommendResponse = await stub.Recommend(request, timeout=TIMEOUT)
    items, following = list(answer.items), answer.next_page_token
    while following and len(items) < WANTED:
        request.page_token, request.page_size = following, WANTED - len(items)
        more: pb.RecommendResponse = await stub.Recommend(request, timeout=TIMEOUT)
        items.extend(more.items)
        following = more.next_page_token
    return _said(answer, items)


def _said(answer: pb.RecommendResponse, items: list[pb.RecommendedItem]) -> dict[str, Any]:
    names = [source.source for source in answer.sources]
    at = {name: place for place, name in enumerate(names)}
    weights: list[float | None] = [None] * len(names)
    for item in items:
        for part in item.attributions:
            weights[at[part.source]] = part.weight
    return {
        "items": [_item(item, at) for item in items],
        "sources": [
            {**_source(source), "weight": weight} for source, weight in zip(answer.sources, weights, strict=True)
        ],
        "segment": answer.segment,
        "variant": answer.variant,
        "degraded": answer.degraded,
        "user_known": answer.user_known,
        "snapshot_version": answer.snapshot_version,
        "config_revision": answer.config_revision,
        "rules": [{"name": one.rule, "removed": one.removed} for one in answer.rules],
        "unknown": [*answer.unknown_item_ids, *answer.unknown_profile_keys, *answer.unknown_profile_values],
    }


def _item(item: pb.RecommendedItem, at: dict[str, int]) -> dict[str, Any]:
    fallback = item.fallback
    return {
        "id": item.item_id,
        "title": item.title,
        "score": item.score,
        "reason": item.reason,
        "exploration": item.exploration,
        "fallback": (
            {"level": fallback.level, "source": fallback.source, "reason": _word(fallback.reason)}
            if item.HasField("fallback")
            else None
        ),
        # rule, what it added to the score, place by the sources' scores alone (from 0; None: proposed by no source)
        "rules": [
            [one.rule, one.contribution, one.from_position if one.HasField("from_position") else None]
            for one in item.rules
        ],
        # source, raw, calibrated, contribution, rank
        "parts": [
            [
                at[part.source],
                part.raw if part.HasField("raw") else None,
                part.calibrated if part.HasField("calibrated") else None,
                part.contribution,
                part.rank,
            ]
            for part in item.attributions
        ],
    }


def _source(source: pb.SourceStatus) -> dict[str, Any]:
    return {
        "name": source.source,
        "status": pb.SourceStatus.Status.Name(source.status).removeprefix("STATUS_"),
        "reason": _word(source.reason),
        "detail": source.detail,
        "milliseconds": source.latency.ToTimedelta().total_seconds() * 1000,
        "model_version": source.model_version,
        "candidates": source.candidate_count,
    }


def _word(reason: pb.DegradedReason.ValueType) -> str:
    """A reason in a word or two; empty for none."""
    return pb.DegradedReason.Name(reason).removeprefix("DEGRADED_REASON_").lower().replace("_", " ") if reason else ""
