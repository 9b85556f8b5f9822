"""The clients, sync and async: one set of requests, two ways to send them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from grpc_health.v1 import health_pb2, health_pb2_grpc

from cuvee.channels import Tls, channel, channel_aio
from cuvee.client.policy import options_for
from cuvee.client.replicas import Replicas
from cuvee.v1 import admin_pb2_grpc, catalog_pb2_grpc, events_pb2_grpc
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["AsyncClient", "Client"]

TIMEOUT = 2.0
"""Seconds that a call may take."""
BATCH_TIMEOUT = 60.0
"""The same for a whole batch."""

R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R4 = TypeVar("R4")
R5 = TypeVar("R5")
R6 = TypeVar("R6")


class _Calls(Generic[R1, R2, R3, R4, R5, R6]):
    """Every call, written once for both clients: a stub on an async channel returns an awaitable.

    The fields are those of the requests in ``cuvee/v1/recommendation.proto``; a ``timeout`` is in
    seconds and is the call's deadline.
    """

    _stub: Any
    _health: Any

    def recommend(
        self,
        product: str,
        user_id: str = "",
        *,
        context_item_ids: Sequence[str] = (),
        profile: pb.UserProfile | None = None,
        page_size: int = 0,
        filter: str = "",  # noqa: A002 - the field's name
        exclude_item_ids: Sequence[str] = (),
        view: pb.AttributionView.ValueType = pb.ATTRIBUTION_VIEW_UNSPECIFIED,
        validate_only: bool = False,
        bucketing_id: str = "",
        variant: str = "",
        preview: bool = False,
        timeout: float = TIMEOUT,
    ) -> R1:
        """Items for one user."""
        request = pb.RecommendRequest(
            product=product,
            user_id=user_id,
            context_item_ids=context_item_ids,
            profile=profile,
            page_size=page_size,
            filter=filter,
            exclude_item_ids=exclude_item_ids,
            view=view,
            validate_only=validate_only,
            bucketing_id=bucketing_id,
            variant=variant,
            preview=preview,
        )
        answer: R1 = self._stub.Recommend(request, timeout=timeout)
        return answer

    def similar_items(
        self,
        product: str,
        item_ids: Sequence[str],
        *,
        page_size: int = 0,
        filter: str = "",  # noqa: A002 - the field's name
        exclude_item_ids: Sequence[str] = (),
        view: pb.AttributionView.ValueType = pb.ATTRIBUTION_VIEW_UNSPECIFIED,
        bucketing_id: str = "",
        variant: str = "",
        preview: bool = False,
        timeout: float = TIMEOUT,
    ) -> R2:
        """Items similar to the given ones."""
        request = pb.SimilarItemsRequest(
            product=product,
            item_ids=item_ids,
            page_size=page_size,
            filter=filter,
            exclude_item_ids=exclude_item_ids,
            view=view,
            bucketing_id=bucketing_id,
            variant=variant,
            preview=preview,
        )
        answer: R2 = self._stub.SimilarItems(request, timeout=timeout)
        return answer

    def rank(
        self,
        product: str,
        item_ids: Sequence[str],
        user_id: str = "",
        *,
        context_item_ids: Sequence[str] = (),
        profile: pb.UserProfile | None = None,
        view: pb.AttributionView.ValueType = pb.ATTRIBUTION_VIEW_UNSPECIFIED,
        bucketing_id: str = "",
        variant: str = "",
        timeout: float = TIMEOUT,
    ) -> R3:
        """The given items in order for one user."""
        request = pb.RankRequest(
            product=product,
            user_id=user_id,
            context_item_ids=context_item_ids,
            profile=profile,
            item_ids=item_ids,
            view=view,
            bucketing_id=bucketing_id,
            variant=variant,
        )
        answer: R3 = self._stub.Rank(request, timeout=timeout)
        return answer

    def recommend_users(
        self,
        product: str,
        item_id: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str = "",  # noqa: A002 - the field's name
        exclude_user_ids: Sequence[str] = (),
        include_seen: bool = False,
        view: pb.AttributionView.ValueType = pb.ATTRIBUTION_VIEW_UNSPECIFIED,
        timeout: float = BATCH_TIMEOUT,
    ) -> R6:
        """The users to whom an item should be shown, best first; needs the scope ``privacy``."""
        request = pb.RecommendUsersRequest(
            product=product,
            item_id=item_id,
            page_size=page_size,
            page_token=page_token,
            filter=filter,
            exclude_user_ids=exclude_user_ids,
            include_seen=include_seen,
            view=view,
        )
        answer: R6 = self._stub.RecommendUsers(request, timeout=timeout)
        return answer

    def batch_recommend(
        self, product: str, requests: Sequence[pb.RecommendRequest], *, timeout: float = BATCH_TIMEOUT
    ) -> R4:
        """Many requests in one call. Results arrive as they are ready; ``index`` is that of the request."""
        request = pb.BatchRecommendRequest(product=product, requests=requests)
        answer: R4 = self._stub.BatchRecommend(request, timeout=timeout)
        return answer

    def health(self, service: str = "", *, timeout: float = TIMEOUT) -> R5:
        """Whether the server, or one product of it, is ready: ``.status``."""
        answer: R5 = self._health.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        return answer


class Client(
    _Calls[
        pb.RecommendResponse,
        pb.SimilarItemsResponse,
        pb.RankResponse,
        Iterator[pb.BatchRecommendResponse],
        health_pb2.HealthCheckResponse,
        pb.RecommendUsersResponse,
    ]
):
    """Calls that wait for the answer. May be used by many threads at once."""

    def __init__(
        self, target: str, tls: Tls | None = None, *, token: str | None = None, replicas: Replicas | None = None
    ) -> None:
        """``target`` is host:port; ``tls``, without which nothing is encrypted, is True or the PEM file of a CA.

        With ``replicas`` the target's name stands for several servers, and calls are spread over them.
        """
        self.channel = channel(target, options_for(replicas), token, tls)
        self._stub = rpc.RecommendationServiceStub(self.channel)
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self.events = events_pb2_grpc.EventServiceStub(self.channel)
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(
    _Calls[
        Awaitable[pb.RecommendResponse],
        Awaitable[pb.SimilarItemsResponse],
        Awaitable[pb.RankResponse],
        AsyncIterator[pb.BatchRecommendResponse],
        Awaitable[health_pb2.HealthCheckResponse],
        Awaitable[pb.RecommendUsersResponse],
    ]
):
    """Calls that are awaited, on the running loop."""

    def __init__(
        self, target: str, tls: Tls | None = None, *, token: str | None = None, replicas: Replicas | None = None
    ) -> None:
        """As :class:`Client`'s."""
        self.channel = channel_aio(target, options_for(replicas), token, tls)
        self._stub = rpc.RecommendationServiceStub(self.channel)
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self.events: events_pb2_grpc.EventServiceAsyncStub = events_pb2_grpc.EventServiceStub(self.channel)
        self.catalog: catalog_pb2_grpc.CatalogServiceAsyncStub = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        self.admin: admin_pb2_grpc.AdminServiceAsyncStub = admin_pb2_grpc.AdminServiceStub(self.channel)

    async def close(self) -> None:
        """Close the connection."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
