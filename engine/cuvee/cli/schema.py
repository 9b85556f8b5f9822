"""``cuvee schema``: the JSON Schemas of the configuration's files, for editors."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from cuvee.cli.terminal import options

__all__ = ["register"]


class Which(enum.StrEnum):
    """The two kinds of files."""

    SERVER = "server"
    PRODUCT = "product"


def register(app: typer.Typer) -> None:
    """Add ``schema``."""
    app.command(
        epilog=options.examples(
            "cuvee schema product > products/product.schema.json    the first line of products/*.toml then is",
            "                                                       #:schema ./product.schema.json",
            "cuvee schema server > cuvee.schema.json                of cuvee.toml",
        )
    )(schema)


def schema(
    which: Annotated[Which, typer.Argument(help="server: cuvee.toml. product: products/<name>.toml.")],
) -> None:
    """Print the JSON Schema of a file, with the keys of all installed plugins.

    Editors with a TOML language server (Taplo, Even Better TOML) complete and
    check by it. What it cannot say, such as a weight for a source that is not
    there, `cuvee check` finds.
    """
    from cuvee.cli.terminal.tables import print_json
    from cuvee.config.schema import product_schema, server_schema

    registry = options.open_registry()
    print_json(product_schema(registry) if which is Which.PRODUCT else server_schema(registry))
