"""How the demo speaks: heads of acts, lines of narration, the commands that it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cuvee.cli.terminal.tables import say as print_whole
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["command", "console", "heading", "run", "say", "short", "show_command"]

console = Console(highlight=False)


def heading(text: str) -> None:
    """The head of an act."""
    console.print()
    if cell_len(text) + 2 <= console.width:
        console.rule(Text(text, "bold"), align="left", style="dim")
    else:  # a rule would cut it
        print_whole(console, Text(text, "bold"))
        console.rule(style="dim")


def say(text: str) -> None:
    """A line of narration."""
    print_whole(console, Text(text, "italic"))


def short(argument: str | Path) -> str:
    """A path as seen from here, where that is shorter."""
    here = Path.cwd()
    path = Path(argument)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(argument)


def command(*arguments: str | Path) -> list[str]:
    """The ``cuvee`` command of this very Python."""
    return [sys.executable, "-m", "cuvee.cli", *map(str, arguments)]


def show_command(*arguments: str | Path, beside: bool = False) -> None:
    """What a person would type; ``beside`` marks a process that goes on."""
    line = "$ cuvee " + " ".join(short(a) for a in arguments) + (" &" if beside else "")
    console.print(Text(line, "bold cyan"), soft_wrap=True)


def run(*arguments: str | Path, environment: Mapping[str, str]) -> None:
    """Show a command, run it, and stop the demo if it fails."""
    show_command(*arguments)
    done = subprocess.run(command(*arguments), env=dict(environment), check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(done.returncode)
