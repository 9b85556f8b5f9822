"""How commands that steer a server reach it: AdminService, with the same options as lists are asked with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from cuvee.cli.ask.calling import Server
    from cuvee.v1 import admin_pb2_grpc as rpc

__all__ = ["TIMEOUT", "ServerOption", "admin", "server_at"]

TIMEOUT = 600.0
"""Seconds: models may be loaded meanwhile."""
T = TypeVar("T")

ServerOption = Annotated[
    str,
    typer.Option(
        "--address",
        help="A running server's host:port (AdminService); without it, the files of --config are changed, "
        "which servers follow.",
        show_default=False,
    ),
]


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
