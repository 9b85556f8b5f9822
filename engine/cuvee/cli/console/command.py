"""``cuvee console``: web pages over a running server, to look at lists, weights, health and reports."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from pathlib import Path
from typing import Annotated

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
from cuvee.cli.terminal import options
from cuvee.errors import InvalidArgument, OperatorError, PluginError

__all__ = ["register"]

DEFAULT_LISTEN = "127.0.0.1:8700"


def register(app: typer.Typer) -> None:
    """Add ``console``."""
    app.command(
        epilog=options.examples(
            "cuvee console                                        of the server on this machine",
            "cuvee console --metrics http://127.0.0.1:9464/metrics",
            "cuvee console --report figures.json                  what cuvee evaluate --json wrote",
            "cuvee console --address cuvee.example:50051 --ca ca.pem --token-file token",
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
) -> None:
    """Look at lists, weights, health and reports in a browser. Nothing can be changed there.

    Needs the extra `console`. The token goes to the server alone, never to the browser.
    """
    missing = [name for name in ("jinja2", "starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise PluginError(
            f"the console needs {' and '.join(missing)}; "
            "install with: pip install 'cuvee[console]', in a checkout '.[console]'"
        )
    import uvicorn

    from cuvee.cli.ask.calling import Server
    from cuvee.console.app import Console, application

    if metrics and not metrics.startswith(("http://", "https://")):
        raise InvalidArgument("--metrics", f"{metrics!r} is no URL; write http://host:port/metrics")
    host, port = _place(listen)
    if not (insecure or _loopback(host)):
        raise InvalidArgument(
            "--listen",
            f"other machines reach {host}, and who reaches the pages asks with this console's token; listen on "
            "127.0.0.1, or say --insecure where something in front of it keeps strangers out",
        )
    connect = Server(address, token_file, ca, certificate, key, tls).connect()
    hosts = ("*",) if insecure else ("127.0.0.1", "localhost", "[::1]")
    app = application(Console(address, connect, metrics, tuple(report or ()), __version__, hosts))
    with _bound(host, port) as bound:
        where = f"[{host}]" if ":" in host else host
        typer.echo(f"console of {address}: http://{where}:{bound.getsockname()[1]}/ (Ctrl-C ends it)")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)).run([bound])


def _place(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InvalidArgument("--listen", f"{listen!r} is not host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as problem:
        bound.close()
        raise OperatorError(
            f"cannot listen on {host}:{port}: {problem.strerror}; name another with --listen 127.0.0.1:0"
        ) from None
    return bound
