"""What ``cuvee init`` prints on its way."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal.tables import plain_table, say, show_table
from cuvee.starting.plan import Plan
from cuvee.starting.sources import Choice

__all__ = ["looking", "show_choice", "show_next", "show_plan", "written"]


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def looking(files: int) -> None:
    """Before files are read."""
    say(Console(highlight=False), f"Looking at {files} file{'s' if files > 1 else ''}.")


def show_plan(plan: Plan) -> None:
    """What each file and column is taken for, and why."""
    console = Console(highlight=False)
    for part, path in plan.files.items():
        means = plan.meanings.get(part, ())
        _head(console, f"{path} holds {part}" + ("" if means else ", in a layout that is known"))
        if not means:
            continue
        table = plain_table("column", "is taken for", "because of")
        for one in means:
            why = one.why + ("" if one.sure else " (unsure)")
            table.add_row(
                Text(one.column), Text(one.ours or "nothing", "bold" if one.ours else "dim"), Text(why, "dim")
            )
        show_table(console, table)
    if plan.encoding:
        say(console, f"A text is not UTF-8: it is read as {plan.encoding}.")
    if plan.time_unit:
        say(console, f"Times are numbers of {plan.time_unit.name.lower()} since 1970.")
    console.print()


def show_choice(choice: Choice) -> None:
    """The recommenders, with reasons."""
    console = Console(highlight=False)
    _head(console, "Recommenders that suit these data")
    table = plain_table("", "what it goes by")
    for one in choice.sources:
        table.add_row(Text(one.name, "bold"), one.why)
    for out in choice.left_out:
        table.add_row(Text(out.name, "dim"), Text(f"left out: {out.why}", "dim"))
    show_table(console, table)


def written(config: Path, product: Path) -> None:
    """Which files were written."""
    console = Console(highlight=False)
    console.print()
    console.print(Text.assemble("written: ", (str(config), "bold green"), ", ", (str(product), "bold green")))
    console.print()


def show_next(config: Path, product: str, user: str | None) -> None:
    """The commands to go on with."""
    console = Console(highlight=False)
    _head(console, "Next")
    there = "" if str(config) == "cuvee.toml" else f" --config {shlex.quote(str(config))}"
    who = f" --user {shlex.quote(user)}" if user is not None else ""
    commands = (
        (f"cuvee tune {product} --apply{there}", "learn better weights"),
        (f"cuvee serve{there}", "answer over gRPC"),
        (f"cuvee recommend {product}{who}", "ask, from another terminal"),
    )
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        console.print(Text.assemble("  ", (command.ljust(width), "cyan"), (f"  {what}", "dim")), soft_wrap=True)
