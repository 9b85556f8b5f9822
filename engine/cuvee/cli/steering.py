"""How commands that steer a server reach it: AdminService, with the same options as lists are asked with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cuvee.cli.ask.command import (
    DEFAULT_ADDRESS,
    AddressOption,
    CaOption,
    CertificateOption,
    KeyOption,
    TlsOption,
    TokenOption,
)

if TYPE_CHECKING:
    from cuvee.cli.ask.calling import Server
    from cuvee.v1 import admin_pb2_grpc as rpc

__all__ = ["TIMEOUT", "admin", "on_server", "on_server_or_files", "server_at"]

TIMEOUT = 600.0
"""Seconds: models may be loaded meanwhile."""
T = TypeVar("T")

_ServerOption = Annotated[
    str,
    typer.Option(
        "--address",
        help="A running server's host:port (AdminService); without it, the files of --config are changed, "
        "which servers follow.",
        show_default=False,
    ),
]
_CREDENTIALS: tuple[tuple[str, Any, object], ...] = (
    ("token_file", TokenOption, None),
    ("tls", TlsOption, False),
    ("ca", CaOption, None),
    ("certificate", CertificateOption, None),
    ("key", KeyOption, None),
)


def on_server(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which server is meant; it takes them as ``server``, a ``Server``."""
    return _with_options(command, AddressOption, DEFAULT_ADDRESS)


def on_server_or_files(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that also works on files: without ``--address`` its ``server`` is None."""
    return _with_options(command, _ServerOption, "")


def _with_options(command: Callable[..., None], address: Any, default: str) -> Callable[..., None]:
    """The command with the single options in place of its parameter ``server``, for Typer reads the signature."""
    names = ["address", *(name for name, _, _ in _CREDENTIALS)]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        where, *credentials = (given.pop(name) for name in names)
        command(**given, server=server_at(where, *credentials) if where else None)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = [inspect.Parameter("address", kind, default=default, annotation=address)]
    options += [inspect.Parameter(name, kind, default=usual, annotation=one) for name, one, usual in _CREDENTIALS]
    # Server is imported for type checkers alone
    given_ones = inspect.signature(command, eval_str=True, locals={"Server": object}).parameters
    own = [one for name, one in given_ones.items() if name != "server"]
    last = [one for one in own if one.name == "as_json"]
    signature = inspect.Signature([*(one for one in own if one not in last), *options, *last])
    called.__signature__ = signature  # type: ignore[attr-defined]
    called.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    return called


def server_at(
    address: str, token_file: Path | None, tls: bool, ca: Path | None, certificate: Path | None, key: Path | None
) -> Server:
    """A server by the command's options."""
    from cuvee.cli.ask.calling import Server

    return Server(address, token_file, ca, certificate, key, tls)


def admin(server: Server, call: Callable[[rpc.AdminServiceStub], T]) -> T:
    """One call of AdminService; errors as of :func:`cuvee.cli.ask.calling.ask`."""
    from cuvee.cli.ask.calling import ask

    return ask(server, lambda client: call(client.admin))
