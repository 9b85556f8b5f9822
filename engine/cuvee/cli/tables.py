"""Tables for ``fit`` and ``plugins``, and numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cuvee.cli.plugins import Component
    from cuvee.registry import Broken
    from cuvee.training.artifacts import Manifest

__all__ = ["plain_table", "print_json", "show_manifest", "show_plugins", "size", "span"]


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


def show_manifest(manifest: Manifest) -> None:
    """What was fitted, what it took, and the version that it became."""
    console = Console(highlight=False)
    numbers = ("time", "memory", "on disk")
    table = plain_table("recommender", "plugin", "from", *numbers, right=numbers)
    for name, entry in manifest.models.items():
        origin = Text(f"{entry.distribution} {entry.distribution_version}", "dim")
        # memory is sampled, so a small peak means little
        memory = "under 1 MB" if entry.peak_bytes < 1e6 else size(entry.peak_bytes)
        costs = (span(entry.fit_seconds), memory, size(entry.size))
        table.add_row(Text(name, "bold"), entry.plugin, origin, *costs)
    console.print(table)
    learnt_from = f"{manifest.n_users:,} users, {manifest.n_items:,} items, {manifest.n_events:,} events"
    published = Text.assemble((manifest.product, "bold"), ": published version ", (manifest.version, "bold green"))
    console.print(published.append(f", fitted on {learnt_from}"))


def show_plugins(components: Sequence[Component], broken: Sequence[Broken]) -> None:
    """Registered names with their origin, then the plugins that cannot be loaded."""
    console = Console(highlight=False)
    table = plain_table("name", "kind", "distribution", "version", "serves")
    kind = ""
    for one in components:
        if kind and one.kind != kind:
            table.add_row()
        kind = one.kind
        serves = ", ".join(s.lower().replace("_", " ") for s in one.serves)
        table.add_row(Text(one.name, "bold"), one.kind, one.distribution, one.version, serves)
    console.print(table)
    for bad in broken:
        origin = f"{bad.distribution} {bad.version}".strip()
        problem = Text.assemble(("broken: ", "bold red"), (bad.name, "bold"), f" of {origin}: {bad.problem}")
        console.print(problem, soft_wrap=True)
