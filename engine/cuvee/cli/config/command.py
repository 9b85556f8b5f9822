"""``cuvee config show``, ``apply`` and ``rollback``, over AdminService."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.steering import TIMEOUT, admin, on_server
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.cli.ask.calling import Server

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``config`` with its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Read and change a product's file on a running server.",
        epilog=options.examples(
            "cuvee config show movies > movies.toml             the file as the server has it",
            "cuvee config apply movies movies.toml              use it from now on",
            "cuvee config rollback movies                       back to the file before that",
        ),
    )
    group.command(epilog=options.examples("cuvee config show movies", "cuvee config show movies --effective"))(show)
    group.command(
        epilog=options.examples(
            "cuvee config apply movies movies.toml",
            "cuvee config apply movies movies.toml --validate-only    check and probe it, and change nothing",
            "cuvee config apply movies movies.toml --etag 3f9a2b...   only over the file that you have seen",
        )
    )(apply)
    group.command(epilog=options.examples("cuvee config rollback movies"))(rollback)
    app.add_typer(group, name="config")


EtagOption = Annotated[
    str, typer.Option("--etag", help="Of the file that it replaces (`config show --json`).", show_default=False)
]


@on_server
def show(
    product: options.Product,
    effective: Annotated[bool, typer.Option("--effective", help="What answers, with every default filled in.")] = False,
    as_json: options.Json = False,
    *,
    server: Server,
) -> None:
    """Print a product's file as it is on the server; stderr says whether it is in use."""
    from cuvee.cli.terminal.failures import warn
    from cuvee.cli.terminal.tables import print_json
    from cuvee.v1 import admin_pb2 as pb

    found = admin(server, lambda stub: stub.GetConfig(pb.GetConfigRequest(product=product), timeout=TIMEOUT))
    problems = [f"{one.file}: {one.path}: {one.message}" for one in found.refused_problems]
    if as_json:
        print_json(
            {
                "etag": found.etag,
                "revision": found.revision,
                "toml": found.effective_toml if effective else found.product_toml,
                "refused": problems,
            }
        )
        return
    typer.echo(found.effective_toml if effective else found.product_toml, nl=False)
    for one in problems:
        warn(f"not in use: {one}")


@on_server
def apply(
    product: options.Product,
    file: Annotated[Path, typer.Argument(help="The product's new file.", metavar="FILE")],
    etag: EtagOption = "",
    validate_only: Annotated[bool, typer.Option("--validate-only", help="Try it and change nothing.")] = False,
    *,
    server: Server,
) -> None:
    """Write a product's file on the server and use it from now on.

    It is checked and asked sample requests first; where it is wrong, nothing
    changes and the exit code is 2.
    """
    from cuvee.errors import OperatorError
    from cuvee.v1 import admin_pb2 as pb

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise OperatorError(f"{file} cannot be read: {problem}") from None
    request = pb.ApplyConfigRequest(product=product, product_toml=text, etag=etag, validate_only=validate_only)
    done = admin(server, lambda stub: stub.ApplyConfig(request, timeout=TIMEOUT))
    _tell(product, done.revision, done.previous_revision, tried=validate_only)


@on_server
def rollback(
    product: options.Product,
    etag: EtagOption = "",
    *,
    server: Server,
) -> None:
    """Bring back the product's file as it was before the last `apply`; once more goes back further."""
    from cuvee.v1 import admin_pb2 as pb

    request = pb.RollbackConfigRequest(product=product, etag=etag)
    done = admin(server, lambda stub: stub.RollbackConfig(request, timeout=TIMEOUT))
    _tell(product, done.revision, done.previous_revision, tried=False)


def _tell(product: str, revision: str, before: str, *, tried: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import say

    what = " can be used" if tried else " answers"
    was = f" (before: {before})" if before != revision else ", as before"
    say(Console(highlight=False), Text.assemble((product, "bold"), ": revision ", (revision, "bold green"), what + was))
