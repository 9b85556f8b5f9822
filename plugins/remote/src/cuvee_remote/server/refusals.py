"""What the server refuses, as status codes of recommender.proto."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from cuvee.recommender import DegradedReason, SourceFailure

__all__ = ["Refused", "bad_request", "no_model", "not_open", "status_of"]

_CODES: Mapping[DegradedReason, grpc.StatusCode] = MappingProxyType(
    {
        DegradedReason.TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
        DegradedReason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
        DegradedReason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    }
)


class Refused(Exception):
    """Becomes a status code with a message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def bad_request(message: str) -> Refused:
    """The request breaks what recommender.proto says."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_open(key: str) -> Refused:
    """The client is to send this table."""
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, f"the catalogue {key[:16]} is not open here")


def no_model(name: str) -> Refused:
    """There is no such model."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"there is no model {name!r}" if name else "no model was fitted yet")


def status_of(failure: SourceFailure) -> Refused:
    """What a recommender raises that knows why it cannot answer."""
    return Refused(_CODES.get(failure.degraded, grpc.StatusCode.INTERNAL), str(failure))
