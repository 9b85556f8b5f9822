"""The page of the command line, from the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from cuvee.cli import program
from rich.text import Text

__all__ = ["write"]


def write(folder: Path) -> None:
    """Write ``commands.md``: every command, its arguments, options and examples."""
    root: Any = typer.main.get_command(program())
    lines = ["# Commands", "", "Every command and option, as `cuvee COMMAND --help` prints them.", ""]
    for name, command in root.commands.items():
        lines += _command(f"cuvee {name}", command, 2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text("\n".join(lines), encoding="utf-8")


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    if command.hidden:
        return
    yield from ("#" * level + f" {name}", "", _prose(command.help or ""), "")
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    if not getattr(command, "commands", None):
        shown = [_named(one) for one in arguments]
        yield from ("```text", " ".join([name, *(["[OPTIONS]"] if options else []), *shown]), "```", "")
    yield from _table("argument", [(_named(one), one) for one in arguments])
    yield from _table("option", [(", ".join([*one.opts, *one.secondary_opts]), one) for one in options])
    if command.epilog:
        plain = Text.from_markup(command.epilog).plain.strip("\n")
        _, _, examples = plain.partition("\n")
        yield from ("```text", *(line.removeprefix("  ") for line in examples.splitlines()), "```", "")
    for inner, one in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", one, level + 1)


def _table(title: str, rows: list[tuple[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield from (f"| {title} | what it says |", "|---|---|")
    for name, one in rows:
        yield f"| `{name}` | {_cell(f'{one.help or str()} {_default(one)}')} |"
    yield ""


def _named(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _default(one: Any) -> str:
    """What it is when it is not given, where that says something."""
    if one.required:
        return "Required."
    if one.default is None or callable(one.default) or isinstance(one.default, bool) or one.default in ("", ()):
        return ""
    return f"Default: `{getattr(one.default, 'value', one.default)}`."


def _prose(text: str) -> str:
    """Help is plain text; what looks like markup of a page is kept as it is written."""
    return re.sub(r"([<\[*_])", r"\\\1", text.strip())


def _cell(text: str) -> str:
    words = Text.from_markup(text).plain if "[/" in text else text
    return re.sub(r"(?<!`)([<\[*|])", r"\\\1", " ".join(words.split()))
