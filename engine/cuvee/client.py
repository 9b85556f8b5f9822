"""A small typed client, sync and async, over the same requests.

::

    with Client("localhost:50051") as cuvee:
        for item in cuvee.recommend("movies", user_id="196").items:
            print(item.title, item.score)

    async with AsyncClient("localhost:50051") as cuvee:
        answer = await cuvee.recommend("movies", context_item_ids=["50", "181"])

    with Client("localhost:50051") as cuvee:
        event = Event(product="movies", user_id="196", item_id="50", type=EVENT_TYPE_VIEW, event_id="a1")
        cuvee.events.WriteEvents(WriteEventsRequest(events=[event]), timeout=2)

    with Client("dns:///cuvee:50051", replicas=Replicas()) as cuvee:
        ...  # calls are spread over all servers that the name has

    with Client("cuvee.example:50051", tls="ca.pem", token=os.environ["CUVEE_TOKEN"]) as cuvee:
        ...

``events``, ``catalog`` and ``admin`` are the generated stubs of those services. Methods return the messages of
``cuvee.v1`` and raise ``grpc.RpcError``; :func:`failure_of` reads what such an error says.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cuvee.channels import Tls, TlsFiles, channel, channel_aio
from cuvee.errors import InvalidArgument
from cuvee.replicas import Replicas
from cuvee.v1 import admin_pb2_grpc, catalog_pb2, catalog_pb2_grpc, events_pb2, events_pb2_grpc
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = [
    "SERVICE_CONFIG",
    "AsyncClient",
    "Client",
    "Failure",
    "Replicas",
    "TlsFiles",
    "failure_of",
    "profile",
    "profile_in_texts",
]

Attribute: TypeAlias = str | float | bool | Sequence[str] | None

TIMEOUT = 2.0
"""Seconds that a call may take."""
BATCH_TIMEOUT = 60.0
"""The same for a whole batch."""
WRITE_TIMEOUT = 10.0
"""The most that a write of events may take, where the caller gives it more or no limit."""
DETAILS = "grpc-status-details-bin"


def _policy(*codes: str) -> dict[str, Any]:
    """A few attempts, further and further apart; the server may say when (``grpc-retry-pushback-ms``)."""
    return {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": list(codes),
    }


def _service(file: Any, name: str) -> dict[str, str]:
    return {"service": file.services_by_name[name].full_name}


_CATALOG, _EVENTS = (
    _service(catalog_pb2.DESCRIPTOR, "CatalogService"),
    _service(events_pb2.DESCRIPTOR, "EventService"),
)
SERVICE_CONFIG: Mapping[str, Any] = {
    "methodConfig": [
        # lists and the catalogue: asking again changes nothing. CANCELLED is what gRPC itself says for a server that
        # has too many calls to look at; a call that its own caller cancelled is not asked again
        {
            "name": [_service(pb.DESCRIPTOR, "RecommendationService"), _CATALOG],
            "retryPolicy": _policy("UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"),
        },
        # an event without an id of its own would be stored twice: only what was refused is sent again
        {"name": [_EVENTS], "retryPolicy": _policy("RESOURCE_EXHAUSTED")},
        {
            "name": [{**_EVENTS, "method": "WriteEvents"}, {**_EVENTS, "method": "MergeUsers"}],
            "timeout": f"{WRITE_TIMEOUT:g}s",
            "retryPolicy": _policy("RESOURCE_EXHAUSTED"),
        },
    ],
    # each failure costs a token, each success brings a tenth of one; below half of them nothing is asked again
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
"""gRPC's service config: what is asked again, and how often. It is for clients in every language."""

_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    # a connection that is dead without a word is found while calls are waiting on it
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # another worker or a restarted server is found before the retries are used up; gRPC's own pauses grow from one
    # second to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
]


def _options(replicas: Replicas | None) -> list[tuple[str, Any]]:
    if replicas is None:
        return _OPTIONS
    more = replicas.options(SERVICE_CONFIG)
    return [*(one for one in _OPTIONS if one[0] not in dict(more)), *more]


@dataclass(frozen=True, slots=True)
class Failure:
    """The error of a failed call."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    """A name of ``cuvee.v1.ErrorReason`` without its prefix; empty where gRPC itself failed."""
    field: str = ""
    """The path of the request's field that is at fault."""


def failure_of(error: grpc.RpcError | grpc.aio.AioRpcError) -> Failure:
    """Read an error's status and details."""
    code, message = error.code(), error.details() or ""
    reason = field = ""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key != DETAILS or not isinstance(value, bytes):
            continue
        for packed in status_pb2.Status.FromString(value).details:
            reason = reason or _unpacked(packed, error_details_pb2.ErrorInfo()).reason
            for violation in _unpacked(packed, error_details_pb2.BadRequest()).field_violations:
                field = field or violation.field
    return Failure(code, message, reason, field)


M = TypeVar("M", error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)


def _unpacked(packed: AnyMessage, into: M) -> M:
    packed.Unpack(into)
    return into


def _value(given: Attribute) -> pb.AttributeValue:
    if given is None:
        return pb.AttributeValue()
    if isinstance(given, bool):
        return pb.AttributeValue(flag=given)
    if isinstance(given, str):
        return pb.AttributeValue(text=given)
    if isinstance(given, int | float):
        return pb.AttributeValue(number=given)
    return pb.AttributeValue(texts=pb.StringList(values=given))


def profile(
    attributes: Mapping[str, Attribute] | None = None, interests: Mapping[str, Sequence[str]] | None = None
) -> pb.UserProfile:
    """A user's declared profile: ``profile({"age": 24}, {"genres": ["Film-Noir"]})``. None is a null."""
    return pb.UserProfile(
        attributes={name: _value(value) for name, value in (attributes or {}).items()},
        interests={name: pb.StringList(values=liked) for name, liked in (interests or {}).items()},
    )


def profile_in_texts(attributes: Sequence[str], interests: Sequence[str]) -> pb.UserProfile | None:
    """A profile as people type it: ``["age=24"]`` and ``["genres=Film-Noir,Crime"]``. None where both are empty.

    An attribute's value is a number, ``true``, ``false``, or text; in double quotes it is always text.

    Raises:
        InvalidArgument: one is not column=value; names ``profile.attributes`` or ``profile.interests``.
    """
    if not attributes and not interests:
        return None
    known = dict(_pair(given, "profile.attributes") for given in attributes)
    liked: dict[str, list[str]] = {}
    for given in interests:
        column, values = _pair(given, "profile.interests")
        liked.setdefault(column, []).extend(part.strip() for part in values.split(",") if part.strip())
    return profile({column: _read(text) for column, text in known.items()}, liked)


def _pair(given: str, field: str) -> tuple[str, str]:
    column, equals, value = (part.strip() for part in given.partition("="))
    if not (column and equals and value):
        raise InvalidArgument(field, f"{given!r} is not column=value")
    return column, value


def _read(text: str) -> str | float | bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    try:
        return float(text)
    except ValueError:
        return text


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
        self.channel = channel(target, _options(replicas), token, tls)
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
        self.channel = channel_aio(target, _options(replicas), token, tls)
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
