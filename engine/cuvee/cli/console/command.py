"""``cuvee console``: web pages over a running server, to look at lists, weights, health and reports."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from cuvee import __version__
from cuvee.cli.ask.command import (
    DEFAULT_ADDRESS,
    AddressOption,
    CaOption,
    CertificateOption,
    KeyOption,
    TlsOption,
    TokenOption,
)
from cuvee.cli.console.listening import DEFAULT_LISTEN, bound, check_installed, place
from cuvee.cli.terminal import options
from cuvee.errors import InvalidArgument

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``console``."""
    app.command(
        epilog=options.examples(
            "cuvee console                                        of the server on this machine",
            "cuvee console --metrics http://127.0.0.1:9464/metrics",
            "cuvee console --report figures.json                  what cuvee evaluate --json wrote",
            "cuvee console --address cuvee.example:50051 --ca ca.pem --token-file token",
            "cuvee console --changes                              Care may change things; the server asks for no token",
            "cuvee serve --console                                the server and its console, by one command",
        )
    )(console)


def console(
    address: AddressOption = DEFAULT_ADDRESS,
    listen: Annotated[
        str, typer.Option("--listen", "-l", help="Where the pages are: host:port; port 0 takes any.")
    ] = DEFAULT_LISTEN,
    metrics: Annotated[
        str, typer.Option(envvar="CUVEE_METRICS_URL", help="The server's figures: http://host:port/metrics.")
    ] = "",
    report: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Figures of `cuvee evaluate --json`. Repeatable.")
    ] = None,
    changes: Annotated[
        bool,
        typer.Option(
            "--changes",
            envvar="CUVEE_CONSOLE_CHANGES",
            help="Let the pages change things where the server asks for no token. With a token its scopes decide.",
        ),
    ] = False,
    admin_address: Annotated[
        str,
        typer.Option(envvar="CUVEE_ADMIN_ADDRESS", help="AdminService, where `server.admin` has it elsewhere."),
    ] = "",
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Let other machines see the pages: whoever reaches them asks with this console's token."
        ),
    ] = False,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    beside: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Look at lists, weights, health and reports in a browser, and care for items, users, snapshots and files.

    The pages only read, unless the console has a token (whose scopes decide) or `--changes`. Needs the extra
    `console`. The token goes to the server alone, never to the browser.
    """
    check_installed()
    import uvicorn

    from cuvee.cli.ask.calling import Server
    from cuvee.console.app import Console, application

    if metrics and not metrics.startswith(("http://", "https://")):
        raise InvalidArgument("--metrics", f"{metrics!r} is no URL; write http://host:port/metrics")
    host, port = place(listen, insecure=insecure)
    server = Server(address, token_file, ca, certificate, key, tls)
    steered = Server(admin_address, token_file, ca, certificate, key, tls) if admin_address else None
    app = application(
        Console(
            address=address,
            connect=server.connect(),
            connect_admin=steered.connect() if steered is not None else None,
            changes=changes or server.has_credentials,
            metrics=metrics,
            reports=tuple(report or ()),
            version=__version__,
            hosts=("*",) if insecure else ("127.0.0.1", "localhost", "[::1]"),
        )
    )
    # with a configuration of logs uvicorn would close the handlers of everybody in this process
    made = uvicorn.Server(
        uvicorn.Config(app, log_config=None, log_level="warning", access_log=False, server_header=False)
    )
    if beside is not None:
        threading.Thread(target=_end_with_parent, args=(made,), daemon=True).start()
        with socket.socket(fileno=beside) as listening:
            made.run([listening])
        return
    with bound(host, port) as listening:
        where = f"[{host}]" if ":" in host else host
        typer.echo(f"console of {address}: http://{where}:{listening.getsockname()[1]}/ (Ctrl-C ends it)")
        made.run([listening])


def _end_with_parent(server: Any) -> None:
    """End when the server beside which this console was started has ended: nobody else holds the pipe."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.should_exit = True
