"""``cuvee serve``: answer over gRPC."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from cuvee.cli.terminal.options import DEFAULT_CONFIG, ConfigOption, examples, open_settings

__all__ = ["register"]

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Linear algebra libraries read these when they are loaded, and never again."""


def register(app: typer.Typer) -> None:
    """Add ``serve``."""
    app.command(
        epilog=examples(
            "cuvee serve                                      ./cuvee.toml, where it says",
            "cuvee serve --config deploy/cuvee.toml",
            "cuvee serve --listen 0.0.0.0:50051 --reuse-port  one of several processes on one port",
        )
    )(serve)


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", "-l", help="host:port instead of the configured one; port 0 takes any.", show_default=False
        ),
    ] = None,
    reuse_port: Annotated[bool, typer.Option("--reuse-port", help="Let several processes share the port.")] = False,
) -> None:
    """Load and probe every product, then answer over gRPC until SIGTERM or Ctrl-C.

    What is in flight is finished before the process ends. SIGHUP changes nothing. The log goes to
    stderr: JSON lines, or plain ones on a terminal.
    """
    if hasattr(signal, "SIGHUP"):  # until the server is up and logs it, it would end the process
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _one_blas_thread()
    import asyncio

    from cuvee.serving import log
    from cuvee.serving.server import serve as serve_grpc

    settings, registry = open_settings(config)
    log.configure()
    serving = serve_grpc(settings, registry, listen=listen, reuse_port=reuse_port)
    if sys.platform == "win32":
        asyncio.run(serving)
    else:
        import uvloop

        uvloop.run(serving)


def _one_blas_thread() -> None:
    """Start this process over with one thread for linear algebra, unless it was told how many.

    Requests are many and their products small: more threads only wait for each other. numpy is
    loaded by now, so setting the variables is too late for this process, but not for the one that
    takes its place (same id, same arguments).
    """
    if "OPENBLAS_NUM_THREADS" in os.environ or sys.argv[1:2] != ["serve"]:
        return
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very command that is running
