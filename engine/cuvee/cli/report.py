"""``cuvee report``: what came of what was shown."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cuvee.cli.terminal.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    ProductArgument,
    check_product,
    examples,
    open_settings,
)

if TYPE_CHECKING:
    from cuvee.data.store.exposures import Outcome

__all__ = ["register", "wilson"]

Z = 1.959964
"""The standard normal quantile of a two-sided 95 % interval."""
DAY = 86_400_000_000


def register(app: typer.Typer) -> None:
    """Add ``report``."""
    app.command(
        epilog=examples(
            "cuvee report movies                          by the source that contributed most",
            "cuvee report movies --by segment --days 7    of the last week",
            "cuvee report movies --by position --json     for programs",
        )
    )(report)


def report(
    product: ProductArgument,
    by: Annotated[
        Literal["source", "segment", "kind", "variant", "position", "version"],
        typer.Option(
            metavar="WHAT",
            help="What to tell apart: source, segment, kind (blend, fallback or exploration), variant, position or "
            "version.",
        ),
    ] = "source",
    days: Annotated[int, typer.Option(min=1, help="Of how many days.")] = 30,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Click-through and conversion of what was shown, by source, segment, variant, place.

    Answers are kept for the share that `[events] exposures` of the product says. An item counts as
    clicked when an event beyond a view names its answer by `recommendation_id`, as bought when a
    purchase does. Intervals are Wilson's, 95 %, as if items were independent.
    """
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, print_json, show_table
    from cuvee.data.store.opening import existing_store
    from cuvee.data.store.rows import now

    settings, _ = open_settings(config)
    check_product(settings, product)
    store = existing_store(settings)
    found: list[Outcome] = []
    if store is not None:
        try:
            found = store.outcomes(product, by, now() - days * DAY)
        finally:
            store.close()
    if as_json:
        print_json([summary(one, by) for one in found])
        return
    console = Console(highlight=False)
    if not found:
        share = settings.products[product].events.exposures
        why = "" if share else f"; set [events] exposures above 0 in products/{product}.toml, and serve"
        console.print(Text(f"{product}: nothing that was shown in the last {days} days was kept{why}"), soft_wrap=True)
        return
    numbers = ("answers", "items", "clicked", "click-through", "bought", "conversion")
    table = plain_table(by, *numbers, right=numbers)
    for one in found:
        table.add_row(
            Text(one.group or "none", "bold"),
            f"{one.answers:,}", f"{one.shown:,}",
            f"{one.clicked:,}", _share(one.clicked, one.shown),
            f"{one.bought:,}", _share(one.bought, one.shown),
        )  # fmt: skip
    show_table(console, table)


def summary(one: Outcome, by: str) -> dict[str, object]:
    """A group as plain values."""
    plain = asdict(one)
    plain[by] = plain.pop("group")
    for name, count in (("click_through", one.clicked), ("conversion", one.bought)):
        low, high = wilson(count, one.shown)
        plain[name] = {"rate": count / one.shown, "low": low, "high": high}
    return plain


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927): sensible also for few trials, and for none of them."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z * Z
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"
