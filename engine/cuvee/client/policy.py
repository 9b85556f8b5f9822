"""What is asked again, how often, and how connections are kept: gRPC's service config and options of a channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cuvee.client.replicas import Replicas
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["OPTIONS", "SERVICE_CONFIG", "options_for"]

WRITE_TIMEOUT = 10.0
"""The most that a write of events may take, where the caller gives it more or no limit."""


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

OPTIONS = [
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


def options_for(replicas: Replicas | None) -> list[tuple[str, Any]]:
    """Options of a channel to one server, or to several that answer alike."""
    if replicas is None:
        return OPTIONS
    more = replicas.options(SERVICE_CONFIG)
    return [*(one for one in OPTIONS if one[0] not in dict(more)), *more]
