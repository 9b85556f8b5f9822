"""``cuvee tune --new-items``: learn how high items without events should be ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cuvee.cli.tune.patch import Patch

if TYPE_CHECKING:
    from cuvee.product import Product
    from cuvee.tuning.new_items import NewItemsTuning

__all__ = ["patch_of_new_items", "show_new_items"]


def patch_of_new_items(found: NewItemsTuning, product: Product, day: str, config: str) -> Patch:
    """The patch that sets the optimism. ``day`` is its date, ``config`` the revision that it was made under."""
    from cuvee.cli.terminal.figures import uplift
    from cuvee.evaluation.protocols import NEW_ITEMS_K
    from cuvee.tuning.new_items import BEARABLE

    by_level = {one.optimism: one for one in found.levels}
    none, chosen = by_level[0.0], by_level[found.chosen]
    head = [
        f"cuvee tune {found.product} --new-items, {day}, configuration {config}.",
        f"Of {found.n_new:,} withheld items, Recall@{NEW_ITEMS_K} among all: {none.found:.4f} without optimism, "
        f"{chosen.found:.4f} with it ({found.fans:,} people);",
        f"{found.measure} of known items by serving new ones {uplift(chosen.known)} ({found.people:,} people),",
        f"  {BEARABLE:.1%} at most (95 %, paired bootstrap over people).",
        f"`cuvee tune {found.product} --new-items --apply` puts this into products/{found.product}.toml.",
    ]
    had = {key: value for key, value in product.blend.options.items() if key != "learnt"}  # is in a file of its own
    options = {**had, "optimism": found.chosen}
    return Patch(head=head, settings={}, options=options, segments={}, weights={}, tag=day)


def show_new_items(found: NewItemsTuning) -> None:
    """A row for each level, what each source finds alone, and what was chosen."""
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.figures import uplift
    from cuvee.cli.terminal.tables import plain_table, say, show_table
    from cuvee.evaluation.protocols import NEW_ITEMS_K
    from cuvee.tuning.new_items import BEARABLE

    console = Console(highlight=False)
    recall = f"Recall@{NEW_ITEMS_K} of new"
    right = ("optimism", recall, str(found.measure), "known lose")
    table = plain_table(*right, "", right=right, title=f"{found.product}: {found.n_new:,} new items among all")
    for one in found.levels:
        chosen = one.optimism == found.chosen
        notes = [*(["chosen"] if chosen else []), *(["as it is"] if one.optimism == found.had else [])]
        style = "bold" if chosen else ""
        cells = (f"{one.optimism:.2f}", f"{one.found:.4f}", f"{one.known.first:.4f}", uplift(one.known))
        table.add_row(*(Text(cell, style) for cell in cells), Text(", ".join(notes), "dim"))
    show_table(console, table)
    alone = ", ".join(f"{name} {value:.4f}" for name, value in found.members.items() if value > 0)
    for note in (
        f"{recall} by one source alone: {alone or 'none can'}",
        f"chosen: what finds most while known items lose no more than {BEARABLE:.1%}, chance included",
        f"new items: {found.fans:,} people who like one; known items: {found.people:,} people, new ones served and not",
        "the metric of the first few says little of the rest of a longer list: there new items take more places",
    ):
        say(console, Text(note, "dim"))
