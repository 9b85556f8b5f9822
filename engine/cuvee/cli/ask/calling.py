"""One call to a running server; its errors come back as Cuvée's own, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc

from cuvee.client import Client, failure_of
from cuvee.errors import CuveeError, RequestError, UnavailableError

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


def ask(address: str, call: Callable[[Client], A]) -> A:
    """Make one call.

    Raises:
        RequestError: the caller must change something; names the field.
        UnavailableError: no server answers there, or it cannot answer now.
    """
    with Client(address) as client:
        try:
            return call(client)
        except grpc.RpcError as problem:
            raise _in_words(problem, address) from problem


def _in_words(problem: grpc.RpcError, address: str) -> CuveeError:
    failure = failure_of(problem)
    if failure.code in TO_BE_CHANGED:
        said = failure.message
        if failure.field and not said.startswith(failure.field):
            said = f"{failure.field}: {said}"
        return RequestError(f"{TO_BE_CHANGED[failure.code]}: {said}")
    if failure.code is grpc.StatusCode.UNAVAILABLE and not failure.reason:
        why = failure.message.rsplit(": ", 1)[-1]
        return UnavailableError(
            f"no server answers at {address} ({why}); start one with `cuvee serve`, or name another with --address"
        )
    return UnavailableError(f"{address} could not answer ({failure.code.name}): {failure.message}")
