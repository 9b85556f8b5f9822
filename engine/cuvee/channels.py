"""Connections: of clients, encrypted or not, with or without a token; and of plugins to servers of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import grpc
import grpc.aio

__all__ = ["TO_A_SERVER", "PerLoop", "Tls", "TlsFiles", "channel", "channel_aio", "credentials_of"]

Options: TypeAlias = Sequence[tuple[str, Any]]
A = TypeVar("A")
T = TypeVar("T")

TO_A_SERVER: Options = (
    # a restarted server is found within a second; gRPC's default pause grows to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # despite its name, this limits how long one attempt to connect may take
    ("grpc.min_reconnect_backoff_ms", 2000),
    # otherwise a process's channels to one address share a connection, and closing one ends the others' calls
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
"""Options of a plugin's channel to a server of its own. There are no retries, since the engine has a breaker."""


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


class PerLoop(Generic[T]):
    """Channels of a plugin to one address, one for each event loop, with the stub that calls through it.

    A channel of ``grpc.aio`` belongs to the loop that made it. A server asks on one loop, tests and offline runs on
    others. May be used from any thread.
    """

    def __init__(self, address: str, options: Options, stub: Callable[[grpc.aio.Channel], T]) -> None:
        """No connection is made yet. ``stub`` makes what calls through a channel."""
        self.address = address
        self._options = options
        self._make = stub
        self._lock = threading.Lock()
        self._closed = False
        self._channels: dict[asyncio.AbstractEventLoop, tuple[grpc.aio.Channel, T]] = {}

    def __len__(self) -> int:
        """How many channels there are."""
        return len(self._channels)

    def stub(self) -> T | None:
        """The stub of the running loop's channel; None after :meth:`close`."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                return None
            if loop not in self._channels:
                for over in [other for other in self._channels if other.is_closed()]:
                    del self._channels[over]
                made = grpc.aio.insecure_channel(self.address, options=self._options)
                self._channels[loop] = made, self._make(made)
            return self._channels[loop][1]

    def close(self) -> None:
        """Close every channel. May be called again."""
        with self._lock:
            self._closed = True
            channels = [(loop, made) for loop, (made, _) in self._channels.items()]
            self._channels.clear()
        for loop, made in channels:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(made.close(), loop)
            # the channel of a stopped loop closes itself when it is garbage-collected
