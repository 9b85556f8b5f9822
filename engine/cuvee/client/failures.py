"""What the error of a failed call says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

__all__ = ["Failure", "failure_of"]

DETAILS = "grpc-status-details-bin"


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
