"""Failures of the remote recommender, as typed reasons.

A detail is shown to the caller of Cuvée, so it is in our own words. The remote's own message is kept as the cause
(``__cause__``), for the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from cuvee.recommender import DegradedReason, SourceFailure

__all__ = ["closed", "failure_of", "invalid"]

_REASONS: Mapping[grpc.StatusCode, tuple[DegradedReason, str]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: (DegradedReason.UNAVAILABLE, "the remote recommender cannot be reached"),
        # the status of calls that a server cancels when it shuts down
        grpc.StatusCode.CANCELLED: (DegradedReason.UNAVAILABLE, "the remote recommender gave the call up"),
        grpc.StatusCode.DEADLINE_EXCEEDED: (DegradedReason.TIMEOUT, "the remote recommender did not answer in time"),
        grpc.StatusCode.RESOURCE_EXHAUSTED: (DegradedReason.OVERLOADED, "the remote recommender has too much to do"),
        grpc.StatusCode.NOT_FOUND: (DegradedReason.ERROR, "the remote recommender has no such model; run `cuvee fit`"),
        grpc.StatusCode.FAILED_PRECONDITION: (
            DegradedReason.ERROR,
            "the remote recommender does not keep the catalogue that it was sent",
        ),
        grpc.StatusCode.INVALID_ARGUMENT: (DegradedReason.ERROR, "the remote recommender refused the request"),
        grpc.StatusCode.UNIMPLEMENTED: (DegradedReason.ERROR, "what listens there is no RecommenderService"),
    }
)

TOO_LARGE = "Received message larger than max"
"""Of gRPC's own message where an answer is larger than this side takes."""


def failure_of(code: grpc.StatusCode, details: str | None = None) -> SourceFailure:
    """The failure for a status code, and what gRPC says with it."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in (details or ""):
        return invalid("the answer is larger than 64 MiB")
    reason, detail = _REASONS.get(code, (DegradedReason.ERROR, f"the remote recommender answered {code.name}"))
    return SourceFailure(reason, detail)


def invalid(detail: str) -> SourceFailure:
    """The answer is not what recommender.proto promises."""
    return SourceFailure(DegradedReason.INVALID_OUTPUT, detail)


def closed() -> SourceFailure:
    """The recommender was closed."""
    return SourceFailure(DegradedReason.UNAVAILABLE, "the recommender was closed")
