"""Where the pages are: an address of this machine, bound before anything else is done."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket

from cuvee.errors import InvalidArgument, OperatorError, PluginError

__all__ = ["DEFAULT_LISTEN", "bound", "check_installed", "place"]

DEFAULT_LISTEN = "127.0.0.1:8700"


def check_installed() -> None:
    """Whether the extra is there.

    Raises:
        PluginError: a package is missing; says how to install it.
    """
    missing = [name for name in ("jinja2", "starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise PluginError(
            f"the console needs {' and '.join(missing)}; "
            "install with: pip install 'cuvee[console]', in a checkout '.[console]'"
        )


def place(listen: str, *, insecure: bool, option: str = "--listen") -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        InvalidArgument: it is no host:port, or other machines reach it and ``insecure`` does not say that they may;
            names the ``option``.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InvalidArgument(option, f"{listen!r} is not host:port")
    host = host.strip("[]") or "127.0.0.1"
    if not (insecure or _loopback(host)):
        raise InvalidArgument(
            option,
            f"other machines reach {host}, and who reaches the pages asks with this console's token; listen on "
            "127.0.0.1, or say --insecure to cuvee console where something in front of it keeps strangers out",
        )
    return host, int(port)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int, option: str = "--listen") -> socket.socket:
    """A socket that listens already, so that nobody is refused who comes before the pages are ready.

    Raises:
        OperatorError: the port is taken.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError as problem:
        made.close()
        raise OperatorError(
            f"cannot listen on {host}:{port}: {problem.strerror}; name another with {option} 127.0.0.1:0"
        ) from None
    return made
