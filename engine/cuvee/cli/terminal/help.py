"""The help of every command: text is printed as written, and no word is broken at 80 columns."""

from __future__ import annotations

import inspect
import re
from typing import Any

import typer
from rich.markup import escape

__all__ = ["dashed", "literal"]


def literal(app: typer.Typer) -> Any:
    """The command of an app, its help printed as it stands in the source.

    Rich reads ``[tune]`` in a text as markup and drops it, so brackets are escaped. The lines of a
    paragraph are joined, so that it wraps at the terminal's width. The examples at the end are intended
    markup and stay.
    """
    command = typer.main.get_command(app)
    command.context_settings = {**command.context_settings, "token_normalize_func": dashed}
    _escape(command)
    return command


def dashed(token: str) -> str:
    """An option as it is named here, however it was written: ``--model_name`` is ``--model-name``."""
    return token.replace("_", "-")


def _escape(command: Any) -> None:
    if command.help:
        paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(command.help))
        command.help = escape("\n\n".join(" ".join(p.split()) for p in paragraphs))
    for param in command.params:
        if getattr(param, "help", None):
            param.help = escape(param.help)
    for one in getattr(command, "commands", {}).values():
        _escape(one)
