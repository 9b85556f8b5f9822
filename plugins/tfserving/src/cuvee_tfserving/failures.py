"""Failures of the model server, as typed reasons.

A detail is shown to the caller of Cuvée, so it is in our own words. The server's message is kept as the
cause (``__cause__``), for the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from cuvee.recommender import DegradedReason, SourceFailure

__all__ = ["closed", "failure_of", "invalid"]

_REASONS: Mapping[grpc.StatusCode, tuple[DegradedReason, str]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: (DegradedReason.UNAVAILABLE, "the model server cannot be reached"),
        # the status of calls that a server cancels when it shuts down
        grpc.StatusCode.CANCELLED: (DegradedReason.UNAVAILABLE, "the model server gave the call up"),
        grpc.StatusCode.DEADLINE_EXCEEDED: (DegradedReason.TIMEOUT, "the model server did not answer in time"),
        grpc.StatusCode.RESOURCE_EXHAUSTED: (DegradedReason.OVERLOADED, "the model server has too much to do"),
        grpc.StatusCode.NOT_FOUND: (
            DegradedReason.ERROR,
            "the model server has no such model, or not the version that is asked for",
        ),
        grpc.StatusCode.FAILED_PRECONDITION: (DegradedReason.ERROR, "the served model has no such signature"),
        grpc.StatusCode.INVALID_ARGUMENT: (
            DegradedReason.ERROR,
            "the served model takes other inputs than are sent, or there is no such version label",
        ),
        grpc.StatusCode.UNIMPLEMENTED: (DegradedReason.ERROR, "what listens there is no model server"),
    }
)


def failure_of(code: grpc.StatusCode) -> SourceFailure:
    """The failure for a status code."""
    reason, detail = _REASONS.get(code, (DegradedReason.ERROR, f"the model server answered {code.name}"))
    return SourceFailure(reason, detail)


def invalid(detail: str) -> SourceFailure:
    """The server's answer does not fit the signature."""
    return SourceFailure(DegradedReason.INVALID_OUTPUT, detail)


def closed() -> SourceFailure:
    """The recommender was closed."""
    return SourceFailure(DegradedReason.UNAVAILABLE, "the recommender was closed")
