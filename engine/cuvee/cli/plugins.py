"""``cuvee plugins``: list what is installed, where it comes from, and what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal import options
from cuvee.cli.terminal.tables import plain_table, print_json, show_table

if TYPE_CHECKING:
    from cuvee.registry import Broken, Registry

__all__ = ["Component", "components", "register"]

KINDS = ("recommenders", "calibrators", "blenders", "rules", "readers")


@dataclass(frozen=True)
class Component:
    """One registered name."""

    name: str
    kind: str
    distribution: str
    version: str
    serves: tuple[str, ...]
    """The kinds of queries and items that a recommender serves; empty for other components."""


def components(registry: Registry) -> list[Component]:
    """All registered components, recommenders first."""
    found = []
    for kind in KINDS:
        for name, one in getattr(registry, kind).items():
            serves = tuple(str(flag.name) for flag in one.component.serves) if kind == "recommenders" else ()
            found.append(Component(name, kind.removesuffix("s"), one.plugin.distribution, one.plugin.version, serves))
    return found


def register(app: typer.Typer) -> None:
    """Add ``plugins``."""
    app.command(
        epilog=options.examples(
            "cuvee plugins           what is installed, and what is broken",
            "cuvee plugins --json    the same, for programs",
        )
    )(plugins)


def plugins(as_json: options.Json = False) -> None:
    """List what the installed plugins bring, and those that cannot be loaded."""
    from cuvee.registry import Registry

    registry = Registry.load()
    if as_json:
        found = [asdict(c) for c in components(registry)]
        print_json({"components": found, "broken": [asdict(b) for b in registry.broken]})
    else:
        _show(components(registry), registry.broken)


def _show(components: Sequence[Component], broken: Sequence[Broken]) -> None:
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
    show_table(console, table)
    for bad in broken:
        origin = f"{bad.distribution} {bad.version}".strip()
        problem = Text.assemble(("broken: ", "bold red"), (bad.name, "bold"), f" of {origin}: {bad.problem}")
        console.print(problem, soft_wrap=True)
