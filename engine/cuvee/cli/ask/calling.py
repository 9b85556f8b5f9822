"""One call to a running server; its errors come back as Cuvée's own, in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from cuvee.channels import credentials_of
from cuvee.client import AsyncClient, Client, TlsFiles, failure_of
from cuvee.errors import CuveeError, OperatorError, RequestError, UnavailableError

__all__ = ["Server", "ask"]

A = TypeVar("A")

TO_BE_CHANGED = {
    grpc.StatusCode.INVALID_ARGUMENT: "the request is wrong",
    grpc.StatusCode.NOT_FOUND: "not found",
    grpc.StatusCode.FAILED_PRECONDITION: "something on the server must change first",
    grpc.StatusCode.ABORTED: "somebody else was quicker",
    grpc.StatusCode.UNIMPLEMENTED: "this server does not offer that",
    grpc.StatusCode.UNAUTHENTICATED: "the server wants other credentials (--token-file, CUVEE_TOKEN)",
    grpc.StatusCode.PERMISSION_DENIED: "these credentials do not allow that",
}
"""Codes after which the same call would fail again."""


@dataclass(frozen=True)
class Server:
    """Where a server is, and how it is asked."""

    address: str
    token_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    tls: bool = False

    @property
    def has_credentials(self) -> bool:
        """Whether it is shown a token or a certificate."""
        return bool(self.token_file or os.environ.get("CUVEE_TOKEN", "").strip() or self.certificate)

    def client(self) -> Client:
        """A client of it.

        Raises:
            OperatorError: a file cannot be read.
        """
        with _credentials_read():
            tls, token = self._credentials()
            return Client(self.address, tls, token=token)

    def connect(self) -> Callable[[], AsyncClient]:
        """What makes an ``async`` client on the running loop; the files are read now.

        Raises:
            OperatorError: a file cannot be read.
        """
        with _credentials_read():
            tls, token = self._credentials()
            credentials = credentials_of(tls)
        return lambda: AsyncClient(self.address, credentials, token=token)

    def _credentials(self) -> tuple[TlsFiles | None, str | None]:
        """Without ``token_file`` the token is that of the environment's CUVEE_TOKEN, if any."""
        encrypted = self.tls or self.ca is not None or self.certificate is not None
        token = self.token_file.read_text(encoding="utf-8") if self.token_file else os.environ.get("CUVEE_TOKEN")
        tls = TlsFiles(self.ca, self.certificate, self.key) if encrypted else None
        return tls, (token or "").strip() or None


@contextmanager
def _credentials_read() -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as problem:
        said = problem.strerror if isinstance(problem, OSError) else "is no text"
        raise OperatorError(f"a file with credentials cannot be read: {said}") from None


def ask(server: Server, call: Callable[[Client], A]) -> A:
    """Make one call.

    Raises:
        RequestError: the caller must change something; names the field.
        UnavailableError: no server answers there, or it cannot answer now.
        OperatorError: a file with credentials cannot be read.
    """
    with server.client() as client:
        try:
            return call(client)
        except grpc.RpcError as problem:
            raise _in_words(problem, server.address) from problem


def _in_words(problem: grpc.RpcError, address: str) -> CuveeError:
    failure = failure_of(problem)
    if failure.code in TO_BE_CHANGED:
        said = failure.message
        if failure.field and not said.startswith(failure.field):
            said = f"{failure.field}: {said}"
        return RequestError(f"{TO_BE_CHANGED[failure.code]}: {said}")
    if failure.code is grpc.StatusCode.UNAVAILABLE and not failure.reason:
        why = failure.message.rsplit(": ", 1)[-1].rstrip("]")
        form = "" if ":" in address else f"an address is HOST:PORT, as in 127.0.0.1:{address}; "
        return UnavailableError(
            f"no server answers at {address} ({why}); {form}start one with `cuvee serve`, or name another with "
            "--address"
        )
    if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED and not failure.reason:
        return UnavailableError(
            f"{address} did not answer in time: is it busy, or another program's port? `cuvee serve` logs its own as "
            "`listening`; say it with --address"
        )
    return UnavailableError(f"{address} could not answer ({failure.code.name}): {failure.message}")
