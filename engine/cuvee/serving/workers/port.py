"""A port that several processes listen on (SO_REUSEPORT), kept from the first worker's start to the last one's end."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from cuvee.errors import OperatorError

__all__ = ["SharedPort", "share"]


@dataclass(frozen=True)
class SharedPort:
    """An address that is bound but not listened on: it takes no connections, and reserves the port."""

    address: str
    """host:port with the actual port, also where port 0 was given."""
    kept: socket.socket


def share(listen: str, *, others: bool) -> SharedPort:
    """Bind an address for workers.

    Args:
        listen: host:port; port 0 takes any free one.
        others: whether other servers may share the port; otherwise a taken port is an error.

    Raises:
        OperatorError: it is taken, is no host:port, or cannot be shared.
    """
    host, colon, port = listen.rpartition(":")
    if listen.startswith("unix") or not colon or not port.isdigit():
        raise OperatorError(f"several workers cannot share {listen}, only host:port; give `--workers 1`")
    try:
        family, _, _, _, where = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not others and where[1] != 0:
            with _bound(family, where, shared=False):
                pass
        kept = _bound(family, where, shared=True)
    except OSError as problem:
        raise OperatorError(
            f"cannot listen on {listen} ({problem.strerror or problem}): is another server there already? "
            "Stop it, or give another --listen"
        ) from None
    return SharedPort(f"{host}:{kept.getsockname()[1]}", kept)


def _bound(family: int, where: tuple[object, ...], *, shared: bool) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # a port on which connections of an earlier server still linger is free
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
        found.bind(where)
    except OSError:
        found.close()
        raise
    return found
