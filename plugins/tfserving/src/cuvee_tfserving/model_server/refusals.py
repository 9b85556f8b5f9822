"""Why a call is refused: a gRPC status code, the one that TensorFlow Serving gives, and a message."""

from __future__ import annotations

import grpc

__all__ = ["Refused", "failed_precondition", "invalid", "not_found"]


class Refused(Exception):
    """Becomes the call's status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(message: str) -> Refused:
    """No such model or version."""
    return Refused(grpc.StatusCode.NOT_FOUND, message)


def invalid(message: str) -> Refused:
    """The request cannot be right for this model."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> Refused:
    """The request does not fit the present state."""
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, message)
