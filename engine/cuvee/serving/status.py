"""From Cuvée's errors to gRPC statuses: one table that covers every class, and the details of AIP-193."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from cuvee import errors
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["CODES", "DOMAIN", "code_of", "problem_of", "status_of"]

DOMAIN = "cuvee"
RETRY_SECONDS = 1
"""How long a caller is told to wait before a retry."""
LONGEST = 900
"""Limit of a message in bytes of UTF-8: a whole status travels in HTTP headers, which hold 8 KiB."""
INTERNAL = "internal error; the server's log has the details under this incident"

CODES: Mapping[type[errors.CuveeError], tuple[int, str]] = {
    errors.CuveeError: (code_pb2.INTERNAL, "INTERNAL"),
    errors.RequestError: (code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    errors.InvalidArgument: (code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    errors.NotFound: (code_pb2.NOT_FOUND, "NOT_FOUND"),
    errors.Unauthenticated: (code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED"),
    errors.PermissionDenied: (code_pb2.PERMISSION_DENIED, "PERMISSION_DENIED"),
    errors.EtagMismatch: (code_pb2.ABORTED, "ETAG_MISMATCH"),
    errors.PageGone: (code_pb2.ABORTED, "PAGE_GONE"),
    errors.OperatorError: (code_pb2.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    errors.ConfigError: (code_pb2.FAILED_PRECONDITION, "CONFIG_INVALID"),
    errors.PluginError: (code_pb2.FAILED_PRECONDITION, "PLUGIN_INVALID"),
    errors.DataError: (code_pb2.FAILED_PRECONDITION, "DATA_INVALID"),
    errors.ArtifactError: (code_pb2.FAILED_PRECONDITION, "ARTIFACT_INVALID"),
    errors.UnavailableError: (code_pb2.UNAVAILABLE, "UNAVAILABLE"),
    errors.NotReady: (code_pb2.UNAVAILABLE, "NOT_READY"),
    errors.Overloaded: (code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED"),
    errors.RateLimited: (code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    errors.DeadlineExceeded: (code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    errors.SourceFailure: (code_pb2.INTERNAL, "INTERNAL"),
}
"""Every class of the tree -> its code and the reason in ErrorInfo. A source's failure degrades an
answer and never reaches a caller; if one does, that is a fault of the server."""


def code_of(problem: BaseException) -> tuple[int, str]:
    """The code and reason of an error: its own class's, or that of the nearest parent in the tree."""
    for kind in type(problem).__mro__:
        if kind in CODES:
            return CODES[kind]
    return code_pb2.INTERNAL, "INTERNAL"


def _message(problem: BaseException, code: int, incident: str) -> str:
    """The message for the caller, without internal details."""
    text = f"{INTERNAL}: {incident}" if code == code_pb2.INTERNAL else str(problem)
    return _clipped(text)


def _clipped(text: str) -> str:
    data = text.encode()
    return text if len(data) <= LONGEST else data[: LONGEST - 3].decode(errors="ignore") + "…"


def _metadata(problem: BaseException) -> dict[str, str]:
    if isinstance(problem, errors.InvalidArgument):
        return {"field": problem.field}
    if isinstance(problem, errors.NotFound):
        return {"resource": problem.resource, "name": problem.name}
    return {}


def status_of(problem: BaseException, incident: str = "") -> status_pb2.Status:
    """The status with its details; for an error outside the tree only ``incident`` is shown."""
    code, reason = code_of(problem)
    message = _message(problem, code, incident)
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=_metadata(problem))]
    if isinstance(problem, errors.InvalidArgument):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=problem.field, description=_clipped(problem.description)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if code in {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED}:
        delay = duration_pb2.Duration()
        seconds = problem.retry_after if isinstance(problem, errors.Overloaded) else RETRY_SECONDS
        delay.FromMilliseconds(max(1, int(1000 * seconds)))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=message, details=packed)


def problem_of(problem: BaseException, incident: str = "") -> pb.Problem:
    """The same for one element of a batch."""
    code, reason = code_of(problem)
    field = problem.field if isinstance(problem, errors.InvalidArgument) else ""
    return pb.Problem(code=code, reason=reason, message=_message(problem, code, incident), field=field)
