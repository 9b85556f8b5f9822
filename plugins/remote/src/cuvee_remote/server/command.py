"""``cuvee remote-server``: its options."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["remote_server"]


def remote_server(
    component: Annotated[str, typer.Argument(metavar="MODULE:CLASS", help="The recommender's class.")],
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where its models are kept.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes any; or unix:PATH.")
    ] = "127.0.0.1:50071",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Calls that are answered at the same time.")] = 4,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Models that are kept, the newest.")] = 10,
    ids_only: Annotated[
        bool, typer.Option("--ids-only", help="It reads no columns of items and users: less is sent.")
    ] = False,
) -> None:
    """Serve a recommender of Python in a process of its own, until SIGTERM or Ctrl-C.

    For example `cuvee remote-server cuvee_popular.recommender:Popular --folder var/remote`, and in cuvee.toml
    `plugin = "remote"`. Whoever can connect may ask: let only Cuvée reach the address.
    """
    from cuvee.recommender import Recommender  # noqa: PLC0415 - `cuvee --help` imports this module

    from cuvee_remote.server.serving import serve  # noqa: PLC0415 - the same

    module, _, name = component.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name or module)
    except (ImportError, AttributeError, ValueError) as problem:
        raise typer.BadParameter(f"{component} cannot be imported: {problem}") from problem
    if not (isinstance(found, type) and issubclass(found, Recommender)):
        raise typer.BadParameter(f"{component} is no class of recommenders (cuvee.Recommender)")
    serving = serve(found, folder, listen, threads=threads, keep=keep, columns=not ids_only)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    typer.echo(f"serves {component} on {serving.address}", err=True)
    over.wait()
    serving.stop()
