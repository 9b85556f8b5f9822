"""One call to a running server; its errors come back as Cuvée's own, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cuvee.errors import CuveeError, RequestError, UnavailableError
from cuvee.v1.recommendation_pb2_grpc import RecommendationServiceStub

__all__ = ["ask"]

A = TypeVar("A")

TO_BE_CHANGED = {
    grpc.StatusCode.INVALID_ARGUMENT: "the request is wrong",
    grpc.StatusCode.NOT_FOUND: "not found",
    grpc.StatusCode.FAILED_PRECONDITION: "something on the server must change first",
    grpc.StatusCode.UNIMPLEMENTED: "this server does not offer that",
    grpc.StatusCode.UNAUTHENTICATED: "the server wants credentials",
    grpc.StatusCode.PERMISSION_DENIED: "these credentials do not allow that",
}
"""Codes after which the same call would fail again."""


def ask(address: str, call: Callable[[RecommendationServiceStub], A]) -> A:
    """Make one call.

    Raises:
        RequestError: the caller must change something; names the fields.
        UnavailableError: no server answers there, or it cannot answer now.
    """
    with grpc.insecure_channel(address) as channel:
        try:
            return call(RecommendationServiceStub(channel))
        except grpc.RpcError as problem:
            raise in_words(problem, address) from problem


def in_words(problem: grpc.RpcError, address: str) -> CuveeError:
    """A failed call as an error of ours, with the fields that its details name."""
    code, message = problem.code(), problem.details() or ""
    status = rpc_status.from_call(problem)
    details = list(status.details) if status else []
    if code is grpc.StatusCode.UNAVAILABLE and not details:
        return UnavailableError(
            f"no server answers at {address} ({message}); start one with `cuvee serve`, or name another with --address"
        )
    if code not in TO_BE_CHANGED:
        return UnavailableError(f"{address} could not answer ({code.name}): {message}")
    fields = []
    for detail in details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [f"  {v.field}: {v.description}" for v in bad.field_violations]
    if fields:
        return RequestError("\n".join([TO_BE_CHANGED[code], *fields]))
    return RequestError(f"{TO_BE_CHANGED[code]}: {message}")
