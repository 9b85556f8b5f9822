"""Tables and JSON on stdout, and numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table

__all__ = ["plain_table", "print_json", "size", "span"]


def print_json(value: object) -> None:
    """Print to stdout as JSON, as is: no wrapping, no colours."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - what the command is asked for


def plain_table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """A table without a frame, its heads underlined; the columns in ``right`` hold numbers."""
    table = Table(box=None, header_style="bold underline", pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def size(n: int) -> str:
    """Bytes in the unit that keeps the number short."""
    value = float(n)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def span(seconds: float) -> str:
    """Seconds in the unit that keeps the number short."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
