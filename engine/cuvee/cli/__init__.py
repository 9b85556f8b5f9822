"""The ``cuvee`` command.

Each module or folder beside this one is named after its command and adds it with ``register(app)``.
Slow imports are inside the commands. Errors that Cuvée raises on purpose are shown here, in one place.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cuvee import __version__
from cuvee.cli import (
    ask,
    batch,
    check,
    config,
    console,
    diff,
    evaluate,
    fit,
    importing,
    init,
    operations,
    plugin,
    plugins,
    report,
    schema,
    serve,
    snapshots,
    store,
    token,
    tune,
)
from cuvee.cli.extensions import add_commands
from cuvee.cli.terminal import options
from cuvee.cli.terminal.failures import exit_code, show
from cuvee.cli.terminal.help import literal
from cuvee.errors import CuveeError

__all__ = ["main", "program"]

COMMANDS = (
    init, importing, check, diff, schema, plugins, plugin, fit, evaluate, tune, snapshots, store, token, serve, config,
    operations, ask, batch, console, report,
)  # fmt: skip
"""In the order of ``cuvee --help``, which is the order in which they are usually needed."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cuvee {__version__}")
        raise typer.Exit


def cuvee(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Several recommenders, one blended list, one gRPC call."""


def program(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line: the engine's commands, and those of plugins that ``arguments`` ask for.

    Raises:
        PluginError: a plugin's command has a name that is taken, or cannot be imported.
    """
    app = typer.Typer(
        name="cuvee",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        epilog=options.examples(
            "cuvee dataset ml-100k                fetch MovieLens 100k",
            "cuvee fit movies                     learn every recommender of products/movies.toml",
            "cuvee serve                          answer over gRPC",
            "cuvee recommend movies --user 196    ask the server, and see what each source contributed",
        ),
    )
    app.callback()(cuvee)
    for command in COMMANDS:
        command.register(app)
    add_commands(app, arguments)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, by default with the process's own arguments, and exit.

    Exit codes: 0 done; 1 try again later, or the server cannot be reached; 2 something that the
    user must change: an option, a configuration, an input; 3 `cuvee tune` refused; 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        literal(program(given))(args=given, prog_name="cuvee")
    except CuveeError as problem:
        show(problem)
        sys.exit(exit_code(problem))
    except BrokenPipeError:  # the reader of the pipe has closed it, as in `cuvee recommend ... | head`
        sys.stderr.close()
        sys.exit(0)
