"""What came of what was shown, as a page with plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.cli.html.page import Card, Cell, Page, Plot, Section, Table, TableRow, write_page
from cuvee.cli.report.rates import COLUMNS, PLACE, figures_of, named, wilson

if TYPE_CHECKING:
    from cuvee.data.store.exposures import Outcome

__all__ = ["write_report"]

WHAT = {
    "source": "the source that contributed most to the item, or filled its place from the fallback chain",
    "segment": "the segment of users who were answered, by the length of their history",
    "kind": "how the item came into the list: by the blend, by fallback, or by exploration",
    "variant": "the variant of an experiment that answered",
    PLACE: "the item's place in its list; 1 is the top",
    "version": "the published version that answered",
}
GLOSSARY = (
    ("answers", "lists that were kept; one that holds items of two groups counts in both"),
    ("items", "items that were shown in them"),
    ("clicked", "of these, items with an event beyond a view that names the answer by its recommendation_id"),
    ("click-through", "the share of items that were clicked"),
    ("bought", "items with a purchase that names the answer"),
    ("conversion", "the share of items that were bought"),
)


def write_report(
    product: str, by: str, found: Sequence[Outcome], days: int, share: float, none: str, file: Path
) -> None:
    """Write the report of what was shown in the last ``days``.

    ``found`` are the groups of ``by``; ``share`` is that of answers which are kept, 0 to 1;
    ``none`` is what is said where nothing was kept.
    """
    shown = sum(one.shown for one in found)
    found = [replace(one, group=named(by, one.group)) for one in found]
    by = PLACE if by == "position" else by
    write_page(
        Page(
            product=product,
            what=f"what was shown, by {by}",
            lead=f"{shown:,} items that were shown in the last {days} days" if found else none,
            cards=list(_cards(found, shown)) if found else (),
            sections=[_section(by, found)] if found else (),
            tables=[_table(by, found)] if found else (),
            under="Rates with their 95 % intervals.",
            glossary=[(by, WHAT[by]), *GLOSSARY],
            notes=[
                f"[events] exposures is {share:g} now: the share of answers that is kept",
                "intervals are Wilson's, 95 %, as if items were independent; those of one list are not quite",
                "variants are drawn by lot; other groups may differ for other reasons, such as who was answered",
            ],
        ),
        file,
    )


def _cards(found: Sequence[Outcome], shown: int) -> Iterator[Card]:
    for title, count, what in (
        ("click-through", sum(one.clicked for one in found), "clicked"),
        ("conversion", sum(one.bought for one in found), "bought"),
    ):
        low, high = wilson(count, shown)
        detail = f"95 % interval {low:.1%} to {high:.1%}, {count:,} of {shown:,} items {what}"
        yield Card(title, f"{count / shown:.1%}", detail)


def _section(by: str, found: Sequence[Outcome]) -> Section:
    return Section(
        f"Taken up, by {by}",
        f"{WHAT[by].capitalize()}. Lines and bands are 95 % intervals.",
        [
            Plot(
                _drawn(by, {one.group: (one.clicked, one.shown) for one in found}, "click-through"),
                f"Click-through by {by}",
            ),
            Plot(
                _drawn(by, {one.group: (one.bought, one.shown) for one in found}, "conversion"), f"Conversion by {by}"
            ),
        ],
    )


def _drawn(by: str, counts: dict[str, tuple[int, int]], label: str) -> str:
    from cuvee.cli.report.plots import by_group, by_place

    if by == PLACE:
        return by_place({int(place): rate for place, rate in counts.items()}, label)
    return by_group(counts, label)


def _table(by: str, found: Sequence[Outcome]) -> Table:
    rows = [TableRow(one.group, "", [Cell(figure) for figure in figures_of(one)]) for one in found]
    return Table(f"By {by}", COLUMNS, rows)
