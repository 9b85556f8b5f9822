"""``cuvee batch``: lists for all users, or for some, into Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.ask.command import FilterOption
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.batch.carrying_out import Summary

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``batch``."""
    app.command(
        epilog=options.examples(
            "cuvee batch movies var/lists                            lists for all users",
            "cuvee batch movies var/lists --page-size 50 --attributions",
            "cuvee batch movies var/lists --where \"country = 'CH'\"   for the users of a condition",
            "cuvee batch movies var/lists --users ids.txt            for those of a file",
            "cuvee batch movies s3://bucket/lists --workers 8        in eight processes, to object storage",
            "cuvee batch movies var/lists --json > done.json         what was made, for programs",
        )
    )(batch)


def batch(
    product: options.Product,
    target: Annotated[
        str, typer.Argument(help="An empty or new folder, or any fsspec URL: s3://bucket/lists.", metavar="TARGET")
    ],
    page_size: Annotated[
        int, typer.Option("--page-size", "-n", metavar="N", min=0, help="Length of the lists; 0 is the product's own.")
    ] = 0,
    where: Annotated[str, typer.Option(metavar="SQL", help="A SQL condition on the users' columns.")] = "",
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Users' ids: one a line, or CSV or Parquet with a column user_id."),
    ] = None,
    only: FilterOption = "",
    attributions: Annotated[
        bool, typer.Option("--attributions", help="Write what each source contributed to each score, too.")
    ] = False,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Of `cuvee snapshots list`; the one that answers by default.")
    ] = None,
    chunk: Annotated[
        int, typer.Option(metavar="N", min=1, max=1_000_000, help="Users of one file. Memory grows with it.")
    ] = 10_000,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="How many processes make lists.")] = 1,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Make lists for many users by the pipeline that serves, and write them as Parquet.

    TARGET/lists/*.parquet has a row for each item of each list: user_id, position (from 0), item_id,
    score, recommender (which contributed most, or filled the place), kind (blend, exploration, fallback).

    Items that are not available, filters, rules, events of the store and deleted users count as in serving.
    A source that fails ends the command: no file ever holds a degraded list. Where it was interrupted, the same
    command goes on with the parts that are missing; with other settings it is refused.
    """
    import dataclasses

    from cuvee.batch.carrying_out import Wanted, carry_out
    from cuvee.batch.run import here, in_processes
    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.errors import InvalidArgument

    if where and users is not None:
        raise InvalidArgument("--users", "and --where exclude each other; give one of them")
    settings, _ = options.open_settings(config)
    options.check_product(settings, product)
    wanted = Wanted(product, target, page_size, only, where, users, attributions, chunk, version)
    with Bars(hidden=as_json) as bars:
        told = bars("lists")
        found = carry_out(settings, config, wanted, told, here if workers == 1 else in_processes(workers))
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        _show(found)


def _show(found: Summary) -> None:
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import say, span

    console = Console(highlight=False)
    made = f"{found.users:,} lists with {found.rows:,} items in {found.parts:,} parts of version {found.version}"
    say(console, Text.assemble((found.product, "bold"), f": {made}, in {span(found.seconds)}"))
    if found.cpu_seconds and found.users:
        say(console, Text(f"{found.users / found.cpu_seconds:,.0f} users a second and core"))
    if found.parts_before:
        say(console, Text(f"{found.parts_before:,} parts were there already"))
    if found.left_out:
        say(console, Text(f"{found.left_out:,} users were deleted since the batch began, and have no list"))
    if found.fallback:
        say(console, Text(f"{found.fallback:,} items came from the fallback"))
    say(console, Text.assemble((f"{found.target}/lists/*.parquet", "bold green")))
