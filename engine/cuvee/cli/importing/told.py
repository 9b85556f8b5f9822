"""The report of an import, and of a fetched data set, as a person reads it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal.tables import plain_table, say, show_table

if TYPE_CHECKING:
    from cuvee.data.files.fetch import Fetched, Source
    from cuvee.data.files.report import Dropped, Report
    from cuvee.data.store.transfer.imports import Imported

EXAMPLES = 3
"""Ids that are named of many."""

__all__ = ["show_fetched", "show_known", "show_report", "show_stored"]


def show_report(report: Report, folder: Path, *, saved: bool) -> None:
    """What was read, kept and dropped, with the first places of each reason."""
    console = Console(highlight=False)
    for note in report.notes:
        console.print(Text(note, "dim"), soft_wrap=True)
    numbers = ("read", "kept", "dropped", "new", "updated")
    table = plain_table("", *numbers, "", right=numbers)
    for tally in report.tallies:
        if not (tally.read or tally.added):
            continue
        fell = tally.read - tally.kept
        cells: list[str | Text] = [
            f"{tally.read:,}",
            f"{tally.kept:,}",
            Text(f"{fell:,}", "yellow" if fell else ""),
            f"{tally.added:,}",
            f"{tally.updated:,}",
        ]
        bare = f"{tally.bare:,} of the new known by their id alone" if tally.bare else ""
        table.add_row(Text(str(tally.part), "bold"), *cells, Text(bare, "dim"))
    show_table(console, table)
    _show_dropped(console, report.dropped)
    for warning in report.warnings:
        console.print()
        console.print(Text.assemble(("warning: ", "bold yellow"), warning), soft_wrap=True)
    if saved:
        console.print()
        holds = f" holds {report.n_users:,} users, {report.n_items:,} items, {report.n_events:,} events"
        console.print(Text.assemble((str(folder), "bold green"), holds), soft_wrap=True)


def _show_dropped(console: Console, dropped: Sequence[Dropped]) -> None:
    if not dropped:
        return
    console.print()
    reasons = plain_table("dropped", "rows", "why", "where, such as", right=("rows",))
    for one in dropped:
        places = Text("\n".join(one.examples), "dim")
        reasons.add_row(str(one.part), Text(f"{one.count:,}", "yellow"), Text(one.reason), places)
    show_table(console, reasons)


def show_stored(product: str, parts: Sequence[Imported]) -> None:
    """What was read, stored and dropped on the way into the store."""
    console = Console(highlight=False)
    numbers = ("read", "new", "there already", "dropped")
    table = plain_table("", *numbers, "", right=numbers)
    for one in parts:
        fell = one.dropped_count
        went_on = f"behind {one.before:,} of an import that was interrupted" if one.before else ""
        known = one.kept - one.new
        table.add_row(
            Text(str(one.part), "bold"),
            f"{one.read:,}", f"{one.new:,}", f"{known:,}", Text(f"{fell:,}", "yellow" if fell else ""),
            Text(went_on, "dim"),
        )  # fmt: skip
    show_table(console, table)
    _show_dropped(console, [d for one in parts for d in one.dropped])
    for one in parts:
        if one.unknown:
            console.print()
            console.print(_of_unknown(one), soft_wrap=True)
    console.print()
    console.print(Text.assemble("into the store of ", (product, "bold green")))


def _of_unknown(one: Imported) -> Text:
    """What is said of events whose items nobody knows."""
    some = ", ".join(sorted(one.unknown, key=lambda item: -one.unknown[item])[:EXAMPLES])
    items = "an item that is" if len(one.unknown) == 1 else f"{len(one.unknown):,} items that are"
    more = ", ..." if len(one.unknown) > EXAMPLES else ""
    return Text(
        f"{one.of_unknown:,} of {one.kept:,} events are of {items} neither imported nor in the store ({some}{more}): "
        "they are kept, and count for no list until the items are there (--items, or UpsertItem)",
        "yellow",
    )


def show_known(sources: Iterable[Source], cache: Path) -> None:
    """The data sets that can be fetched, and which are here."""
    console = Console(highlight=False)
    table = plain_table("name", "what it is", "here")
    for source in sources:
        here = all((cache / source.name / file).exists() for file in source.files)
        table.add_row(Text(source.name, "bold"), source.title, Text(str(cache / source.name) if here else "no", "dim"))
    show_table(console, table)


def show_fetched(fetched: Fetched) -> None:
    """Where it lies, on what terms, and what to do next."""
    console = Console(highlight=False)
    source = fetched.source
    how = "fetched and checked" if fetched.downloaded else "already here, and whole"
    console.print(Text.assemble((source.title, "bold"), f"\n{how}: ", (str(fetched.folder), "green")), soft_wrap=True)
    console.print("\n[bold]Terms[/bold]")
    for term in source.terms:
        say(console, f"  {term}")
    console.print(Text(f"  {source.home}", "dim"), soft_wrap=True)
    command = source.next.format(folder=shlex.quote(str(fetched.folder)))
    console.print(Text.assemble("\nNext: ", (command, "cyan")), soft_wrap=True)
