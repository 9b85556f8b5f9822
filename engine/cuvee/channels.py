"""Connections of a client: encrypted or not, and with or without a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio

__all__ = ["Tls", "TlsFiles", "channel", "channel_aio", "credentials_of"]

Options: TypeAlias = Sequence[tuple[str, Any]]
A = TypeVar("A")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of a client."""

    ca: Path | str | None = None
    """Of the authority that signed the server's certificate; None: those that gRPC brings along."""
    certificate: Path | str | None = None
    """The client's own, for a server with ``client_ca``."""
    key: Path | str | None = None


Tls: TypeAlias = bool | str | Path | TlsFiles | grpc.ChannelCredentials
"""How to encrypt: True, a CA's PEM file, several files, or credentials of gRPC."""


def channel(target: str, options: Options, token: str | None, tls: Tls | None) -> grpc.Channel:
    """A channel whose calls carry the token.

    Raises:
        OSError: a PEM file cannot be read.
    """
    credentials = credentials_of(tls)
    made = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
    return grpc.intercept_channel(made, _WithToken(token)) if token else made


def channel_aio(target: str, options: Options, token: str | None, tls: Tls | None) -> grpc.aio.Channel:
    """The same for ``async`` calls.

    Raises:
        OSError: a PEM file cannot be read.
    """
    credentials = credentials_of(tls)
    with_token: Any = [kind(token) for kind in _AIO] if token else None
    if credentials:
        return grpc.aio.secure_channel(target, credentials, options, interceptors=with_token)
    return grpc.aio.insecure_channel(target, options, interceptors=with_token)


def credentials_of(tls: Tls | None) -> grpc.ChannelCredentials | None:
    """GRPC's credentials; None where nothing is to be encrypted.

    Raises:
        OSError: a PEM file cannot be read.
    """
    if tls is None or tls is False:
        return None
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    files = tls if isinstance(tls, TlsFiles) else TlsFiles() if tls is True else TlsFiles(tls)
    ca, key, certificate = (
        None if path is None else Path(path).read_bytes() for path in (files.ca, files.key, files.certificate)
    )
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _details(details: Any, token: str) -> Any:
    """The same call with the token in its metadata. gRPC's call credentials would ask for TLS on loopback, too."""
    given: Any = details.metadata or ()
    pairs: Iterable[tuple[str, str | bytes]] = given.items() if isinstance(given, Mapping) else given
    return _Details(
        details.method, details.timeout, [*pairs, ("authorization", f"Bearer {token}")], details.credentials,
        details.wait_for_ready, getattr(details, "compression", None),
    )  # fmt: skip


@dataclass
class _Details(grpc.ClientCallDetails):
    """What an interceptor passes on."""

    method: Any
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _WithToken(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the token to every call of a channel."""

    def __init__(self, token: str) -> None:
        self._token = token

    def _intercept(self, go_on: Callable[[Any, Any], A], details: Any, request: Any) -> A:
        return go_on(_details(details, self._token), request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


class _Aio:
    """The same for one kind of ``async`` calls; a channel sorts interceptors by their classes."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def _intercept(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        given = details.metadata if details.metadata is not None else grpc.aio.Metadata()
        metadata = grpc.aio.Metadata(*given, ("authorization", f"Bearer {self._token}"))
        return await go_on(details._replace(metadata=metadata), request)


class _AioUnaryUnary(_Aio, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _Aio._intercept


class _AioUnaryStream(_Aio, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _Aio._intercept


class _AioStreamUnary(_Aio, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _Aio._intercept


class _AioStreamStream(_Aio, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _Aio._intercept


_AIO = (_AioUnaryUnary, _AioUnaryStream, _AioStreamUnary, _AioStreamStream)
