"""``cuvee report``: what came of what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cuvee.cli.report.rates import COLUMNS, PLACE, figures_of, named, wilson
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from cuvee.config import Settings
    from cuvee.data.store.exposures import Outcome

__all__ = ["register"]

DAY = 86_400_000_000


def register(app: typer.Typer) -> None:
    """Add ``report``."""
    app.command(
        epilog=options.examples(
            "cuvee report movies                          by the source that contributed most",
            "cuvee report movies --by segment --days 7    of the last week",
            "cuvee report movies --html report.html       and a page with plots",
            "cuvee report movies --by position --json     for programs",
            "cuvee report movies --experiment bolder      lifts, and what to do next",
        )
    )(report)


def report(
    product: options.Product,
    by: Annotated[
        Literal["source", "segment", "kind", "variant", "position", "version"],
        typer.Option(
            metavar="WHAT",
            help="What to tell apart: source, segment, kind (blend, fallback or exploration), variant, version, or "
            "position: the place in the list, from 1 on; in JSON it counts from 0, as in the API.",
        ),
    ] = "source",
    experiment: Annotated[
        str, typer.Option(metavar="NAME", help="Report an experiment of the product: lifts of its variants by user.")
    ] = "",
    days: Annotated[int, typer.Option(min=1, help="Of how many days.")] = 30,
    html: options.Html = None,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Click-through and conversion of what was shown, by source, segment, variant, place.

    Answers are kept for the share that `[events] exposures` of the product says. An item counts as
    clicked when an event beyond a view names its answer by `recommendation_id`, as bought when a
    purchase does. Intervals are Wilson's, 95 %, as if items were independent.

    With --experiment: users, metrics and lifts of its variants, with a test
    that may be looked at every day, the check that users were split as
    configured, and what to do next.
    """
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.html.page import require_reports
    from cuvee.cli.report.html import write_report
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.store.opening import existing_store
    from cuvee.data.store.rows import now

    if html is not None:
        require_reports(html)
    settings, _ = options.open_settings(config, product)
    options.check_product(settings, product)
    if experiment:
        _experiment(settings, product, experiment, days, html, as_json=as_json)
        return
    store = existing_store(settings)
    found: list[Outcome] = []
    if store is not None:
        try:
            found = store.outcomes(product, by, now() - days * DAY)
        finally:
            store.close()
    share = settings.products[product].events.exposures
    why = "" if share else f"; set [events] exposures above 0 in products/{product}.toml, and serve"
    none = f"nothing that was shown in the last {days} days was kept{why}"
    if html is not None:
        write_report(product, by, found, days, share, none, html)
    if as_json:
        print_json([summary(one, by) for one in found])
        return
    console = Console(highlight=False)
    if found:
        show(console, found, by)
        other = next(one for one in ("segment", "source") if one != by)
        Console(stderr=True, highlight=False).print(
            Text(f"Next: `cuvee report {product} --by {other}`, or `--html report.html` with plots.", "dim")
        )
    else:
        console.print(Text(f"{product}: {none}"), soft_wrap=True)
    if html is not None:
        typer.echo(f"report: {html}")


def _experiment(settings: Settings, product: str, name: str, days: int, html: Path | None, *, as_json: bool) -> None:
    from rich.console import Console

    from cuvee.cli.report.experiment import json_of, show_experiment
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.store.opening import existing_store
    from cuvee.data.store.rows import now
    from cuvee.errors import NotFound
    from cuvee.experiments.analysis import analyse

    there = {one.name: one for one in settings.products[product].experiments}
    if name not in there:
        raise NotFound("experiment", name, sorted(there))
    store = existing_store(settings)
    try:
        found = store.participants(product, name, now() - days * DAY) if store is not None else []
    finally:
        if store is not None:
            store.close()
    told = analyse(product, there[name], found)
    if html is not None:
        from cuvee.cli.report.experiment_page import write_experiment

        write_experiment(product, told, days, html)
    if as_json:
        print_json(json_of(told))
        return
    show_experiment(Console(highlight=False), product, told, days)
    if html is not None:
        typer.echo(f"report: {html}")


def show(console: Console, found: Sequence[Outcome], by: str) -> None:
    """Print a row per group."""
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, show_table

    table = plain_table(PLACE if by == "position" else by, *COLUMNS, right=COLUMNS)
    for one in found:
        table.add_row(Text(named(by, one.group), "bold"), *figures_of(one))
    show_table(console, table)


def summary(one: Outcome, by: str) -> dict[str, object]:
    """A group as plain values."""
    plain = asdict(one)
    plain[by] = plain.pop("group")
    for name, count in (("click_through", one.clicked), ("conversion", one.bought)):
        low, high = wilson(count, one.shown)
        plain[name] = {"rate": count / one.shown, "low": low, "high": high}
    return plain
