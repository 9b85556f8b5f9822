"""``cuvee plugin new``: a distribution to begin a plugin with, whose tests pass at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cuvee.cli.plugin.writing import Kind, Names, next_steps, write
from cuvee.cli.terminal import options
from cuvee.errors import InvalidArgument, OperatorError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``plugin`` with its command."""
    plugin = typer.Typer(
        no_args_is_help=True,
        help="Begin a plugin of your own.",
        epilog=options.examples("cuvee plugin new seasonal    a recommender, in ./seasonal"),
    )

    @plugin.callback()
    def group() -> None:
        """Begin a plugin of your own."""

    plugin.command(
        epilog=options.examples(
            "cuvee plugin new seasonal                      a recommender",
            "cuvee plugin new no-alcohol --kind rule",
            "cuvee plugin new our-blend --kind blender",
            "cuvee plugin new softsign --kind calibrator",
            "cuvee plugin new json-lines --kind reader      files for cuvee import",
            "cuvee plugin new seasonal --into ~/plugins     in ~/plugins/seasonal",
        )
    )(new)
    app.add_typer(plugin, name="plugin")


def new(
    name: Annotated[str, typer.Argument(help="Of the distribution: small letters, digits and -.", metavar="NAME")],
    kind: Annotated[Kind, typer.Option("--kind", "-k", help="What it brings.")] = Kind.RECOMMENDER,
    into: Annotated[
        Path, typer.Option("--into", help="The folder in which a new folder NAME is made.", metavar="DIR")
    ] = Path(),
) -> None:
    """Write a small whole plugin to begin with.

    It has an entry point, a class that works, tests by the contract's suite that
    pass at once, and a README that says what to change. Nothing that is there is
    overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 50:
        raise InvalidArgument("NAME", f"is {name!r}; use small letters, digits and single -, as in our-blend")
    names = Names.of(name)
    if not names.fits:
        raise InvalidArgument(
            "NAME", f"is {name!r}: no package can be called that, or one that is installed is; take another"
        )
    registered = getattr(options.open_registry(), f"{kind}s")
    if names.name in registered:
        taken = registered[names.name].plugin.distribution
        raise OperatorError(f"{taken} already brings a {kind} {names.name!r}; take another name")
    folder = into / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OperatorError(f"{folder} exists already; take another name, or --into another folder")
    files = write(folder, kind, names)
    typer.echo(f"{folder} has a {kind} {names.name!r}:")
    for file in files:
        typer.echo(f"  {file.relative_to(folder)}")
    typer.echo(f"\nNext:\n{next_steps(folder, kind, names)}")
