"""Who can reach an address, and whether a server may listen there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cuvee.config import ServerConfig, Settings
from cuvee.errors import ConfigError, Mistake

__all__ = ["check_exposure", "is_exposed", "plaintext_warnings"]


def is_exposed(listen: str) -> bool:
    """Whether other machines can reach an address of gRPC: all but 127.0.0.0/8, ::1, localhost and Unix sockets."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return False
    scheme, colon, rest = listen.partition(":")
    where = rest.lstrip("/") if colon and scheme in {"dns", "ipv4", "ipv6"} else listen
    host = where.rpartition(":")[0].strip("[]").lower()
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return True


def check_exposure(settings: Settings, listen: str) -> None:
    """Refuse to listen where strangers could ask.

    Raises:
        ConfigError: other machines can reach an address, callers need no credentials, and ``server.insecure``
            does not say that this is meant.
    """
    mistakes = list(exposure_mistakes(settings, listen))
    if mistakes:
        raise ConfigError(mistakes)


def exposure_mistakes(settings: Settings, listen: str) -> Iterator[Mistake]:
    """What :func:`check_exposure` refuses."""
    config = settings.server
    if config.authenticates or config.insecure:
        return
    for key, address in _addresses(config, listen):
        if is_exposed(address):
            yield Mistake(
                str(settings.root / "cuvee.toml"),
                key,
                f"{address} can be reached from other machines, and everybody there could read and delete all. "
                "Set [server.auth] tokens (`cuvee token new` makes one) or jwt, or [server.tls] client_ca; or listen "
                "on 127.0.0.1; or say insecure = true in [server] where something else keeps strangers out",
            )


def plaintext_warnings(settings: Settings, listen: str) -> Iterator[str]:
    """Addresses at which others on the network could read along."""
    config = settings.server
    for key, address in _addresses(config, listen) if config.tls is None else ():
        if is_exposed(address):
            what = "tokens and answers" if config.authenticates else "requests and answers"
            yield f"{key}: {address} is not encrypted: {what} can be read on the way. Set [server.tls]"


def _addresses(config: ServerConfig, listen: str) -> Iterator[tuple[str, str]]:
    yield "server.listen", listen
    if config.admin is not None:
        yield "server.admin.listen", config.admin.listen
