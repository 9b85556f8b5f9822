"""``cuvee serve``: answer over gRPC."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.console.listening import DEFAULT_LISTEN
from cuvee.cli.terminal import options
from cuvee.cli.terminal.failures import exit_code, show
from cuvee.errors import CuveeError, OperatorError

if TYPE_CHECKING:
    from cuvee.cli.console.beside import Beside
    from cuvee.config import Settings
    from cuvee.registry import Registry
    from cuvee.serving.telemetry.export import Export
    from cuvee.serving.workers.port import SharedPort
    from cuvee.serving.workers.worker import Worker

__all__ = ["register"]

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Linear algebra libraries read these only when they are loaded."""
ANY_PORT = "127.0.0.1:0"
"""Where figures are for the console, if the configuration has them nowhere."""


def register(app: typer.Typer) -> None:
    """Add ``serve``."""
    app.command(
        epilog=options.examples(
            "cuvee serve                                      ./cuvee.toml, where it says",
            "cuvee serve --config deploy/cuvee.toml",
            "cuvee serve --workers 4                          four processes on one port, looked after by a fifth",
            "cuvee serve --console                            and its web pages on http://127.0.0.1:8700/",
            "cuvee serve --listen 0.0.0.0:50051 --reuse-port  beside another server on the same port",
        )
    )(serve)


def serve(
    config: options.Config = options.DEFAULT_CONFIG,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", "-l", help="host:port instead of the configured one; port 0 takes any.", show_default=False
        ),
    ] = None,
    reuse_port: Annotated[
        bool, typer.Option("--reuse-port", help="Let servers that were started apart share the port.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            max=256,
            envvar="CUVEE_WORKERS",
            help="Processes that answer; by default as many as there are cores.",
            show_default=False,
        ),
    ] = None,
    console: Annotated[
        bool,
        typer.Option(
            "--console",
            help="Web pages beside the server, as `cuvee console`, with CUVEE_TOKEN as their token. They only read "
            "without a token, unless CUVEE_CONSOLE_CHANGES=1.",
        ),
    ] = False,
    console_listen: Annotated[
        str, typer.Option("--console-listen", help="Where these pages are: host:port of this machine.")
    ] = DEFAULT_LISTEN,
) -> None:
    """Load and probe every product, then answer over gRPC until SIGTERM or Ctrl-C.

    Changed products, recommenders and new fits are taken up while it runs,
    where they are right and answer a probe. Running calls are finished before
    the processes end. SIGHUP reads certificates, tokens and keys again; servers
    also see for themselves when these files change. The log goes to stderr: JSON lines, or plain ones on a
    terminal.
    """
    if hasattr(signal, "SIGHUP"):  # until the server handles it, the signal would end the process
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _one_blas_thread()
    from cuvee.config import load_settings
    from cuvee.serving import log
    from cuvee.serving.telemetry.export import Export
    from cuvee.serving.workers.cores import available_cores

    registry = options.open_registry()
    # the others are served, and the server itself tells what is wrong with these
    settings = load_settings(config, registry, despite=True)
    log.configure()
    where = listen or settings.server.listen
    # where processes cannot share a port, there can be only one
    n = workers or (available_cores() if sys.platform == "linux" and not where.startswith("unix") else 1)
    if n > 1 and sys.platform != "linux":
        raise OperatorError("several workers need Linux; give `--workers 1`")
    figures = settings.server.metrics.listen or (ANY_PORT if console else "")
    with _console(console_listen, settings) if console else nullcontext() as beside:
        export = Export(figures, n) if figures else None
        if n > 1:
            with tempfile.TemporaryDirectory(prefix="cuvee-last-good-") as kept:
                _supervise(n, settings, registry, where, export, config, Path(kept), beside, reuse_port=reuse_port)
            return
        if export is not None:
            export.start()
        _run(settings, registry, where, export, config, beside=beside, reuse_port=reuse_port)


def _console(listen: str, settings: Settings) -> AbstractContextManager[Beside]:
    from cuvee.cli.console.beside import console_beside

    return console_beside(listen, settings.server)


def _supervise(
    n: int,
    settings: Settings,
    registry: Registry,
    listen: str,
    export: Export | None,
    file: Path,
    kept: Path,
    beside: Beside | None,
    *,
    reuse_port: bool,
) -> None:
    """Run workers, and exit with their exit code."""
    import cuvee.serving.server  # noqa: F401 - what is imported before the fork is shared
    from cuvee.serving import log
    from cuvee.serving.access.exposure import check_exposure
    from cuvee.serving.workers.port import share
    from cuvee.serving.workers.supervisor import supervise
    from cuvee.serving.workers.worker import ASIDE

    check_exposure(settings, listen)
    port = share(listen, others=reuse_port)
    steered = share(settings.server.admin.listen, others=reuse_port) if settings.server.admin is not None else None

    def work(worker: Worker) -> int:
        log.configure(worker.number)
        if export is not None:
            if worker.number == ASIDE:
                return export.run(worker)
            export.close()
        try:
            _run(settings, registry, port.address, export, file, kept, reuse_port=True, worker=worker, admin=steered)
        except CuveeError as problem:
            show(problem)
            return exit_code(problem)
        return 0

    if beside is not None:
        figures = export.address if export is not None else ""
        beside.start(port.address, figures, steered.address if steered is not None else "")
    code = supervise(n, work, port.address, settings.server.shutdown_grace, aside=export is not None)
    if code:
        raise typer.Exit(code)


def _run(
    settings: Settings,
    registry: Registry,
    listen: str,
    export: Export | None,
    file: Path,
    kept: Path | None = None,
    *,
    reuse_port: bool,
    beside: Beside | None = None,
    worker: Worker | None = None,
    admin: SharedPort | None = None,
) -> None:
    """Serve in this process."""
    import asyncio

    from cuvee.serving.server import Ready
    from cuvee.serving.server import serve as serve_grpc

    where = admin.address if admin is not None else None
    slot = None if export is None else export.board.slots[worker.number - 1 if worker is not None else 0]

    def ready(said: Ready) -> None:
        if beside is not None:
            steered = settings.server.admin.listen if settings.server.admin is not None else ""
            beside.start(said.address, export.address if export is not None else "", steered)

    serving = serve_grpc(
        settings,
        registry,
        listen=listen,
        reuse_port=reuse_port,
        ready=ready,
        worker=worker,
        slot=slot,
        admin=where,
        file=file,
        kept=kept,
    )
    if sys.platform == "win32":
        asyncio.run(serving)
    else:
        import uvloop

        uvloop.run(serving)


def _one_blas_thread() -> None:
    """Restart this process with one thread for linear algebra, unless the environment sets a number.

    There are many requests with small matrix products, for which more threads only wait for each other.
    numpy is loaded by now, so the variables have no effect in this process; they do in the one that
    replaces it (same process id, same arguments).
    """
    if "OPENBLAS_NUM_THREADS" in os.environ or sys.argv[1:2] != ["serve"]:
        return
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very command that is running
