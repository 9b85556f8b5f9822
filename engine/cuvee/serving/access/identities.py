"""Finds the caller behind a call: by a token in its metadata, else by the certificate of its connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc.aio

from cuvee.errors import Unauthenticated
from cuvee.serving.access.caller import Caller
from cuvee.serving.access.client_certificates import ClientCertificates
from cuvee.serving.access.signed import SignedTokens
from cuvee.serving.access.tokens import SHAPE, Tokens

__all__ = ["Identities"]

Context = grpc.aio.ServicerContext[Any, Any]

HOW = "send the metadata `authorization: Bearer <token>`"


class Identities:
    """What a server takes for an identity. A token that is shown decides; nothing else is then looked at."""

    def __init__(
        self,
        tokens: Callable[[], Tokens] | None,
        signed: Callable[[], SignedTokens] | None,
        certificates: ClientCertificates | None,
    ) -> None:
        """Each gives what was read last; None where the server does not take these."""
        self._tokens = tokens
        self._signed = signed
        self._certificates = certificates
        self._by_header = tokens is not None or signed is not None

    def __call__(self, context: Context) -> Caller:
        """The caller.

        Raises:
            Unauthenticated: there are no credentials, or none that are accepted.
        """
        if self._by_header:
            shown = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
            if len(shown) > 1:
                raise Unauthenticated("the metadata authorization is there more than once; send it once")
            if shown:
                return self._by_token(shown[0])
        if self._certificates is not None:
            (pem,) = context.auth_context().get("x509_pem_cert") or [b""]
            caller = self._certificates.caller(pem, time.time()) if pem else None
            if caller is not None:
                return caller
            if not self._by_header:
                raise Unauthenticated("no [[server.auth.certificates]] of this server names the client certificate")
        raise Unauthenticated(f"this server asks for credentials: {HOW}")

    def _by_token(self, header: str | bytes) -> Caller:
        text = header if isinstance(header, str) else ""
        kind, _, token = text.partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token or not token.isascii():
            raise Unauthenticated(f"the metadata authorization is no bearer token: {HOW}")
        if self._tokens is not None and (self._signed is None or SHAPE.fullmatch(token)):
            return self._tokens().caller(token, time.time())
        if self._signed is None:
            raise Unauthenticated("this server does not know the token")
        return self._signed().caller(token, time.time())
