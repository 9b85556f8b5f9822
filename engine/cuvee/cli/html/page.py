"""A page: one HTML file with its plots inside, nothing to be fetched."""

from __future__ import annotations

import base64
import datetime
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cuvee.errors import InvalidArgument, PluginError

__all__ = ["Card", "Cell", "Page", "Plot", "Section", "Table", "TableRow", "require_reports", "write_page"]


@dataclass(frozen=True)
class Card:
    """One figure to be seen first."""

    title: str
    figure: str
    detail: str
    tone: str = ""


@dataclass(frozen=True)
class Plot:
    """A picture, and what it shows in words."""

    svg: str
    says: str

    @property
    def source(self) -> str:
        """The picture as an address that holds it whole."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass(frozen=True)
class Section:
    """Plots under one title."""

    title: str
    under: str
    plots: Sequence[Plot]


@dataclass(frozen=True)
class Cell:
    """A figure in a table."""

    text: str
    margin: str = ""
    tone: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of a table."""

    name: str
    kind: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Figures of all rows."""

    title: str
    heads: Sequence[str]
    rows: Sequence[TableRow]


@dataclass(frozen=True)
class Page:
    """A report: figures to be seen first, plots, tables, and what the figures mean."""

    product: str
    what: str
    """What the page tells of the product."""
    lead: str
    """Of how much it tells."""
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = ()
    tables: Sequence[Table] = ()
    under: str = ""
    """How the tables are to be read."""
    glossary: Sequence[tuple[str, str]] = ()
    """Terms, and what they mean."""
    notes: Sequence[str] = ()
    """How it was measured."""
    written: datetime.date = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date())
    """The day in UTC."""


def require_reports(html: Path) -> None:
    """Check, before anything is computed, that a report can be written.

    Raises:
        PluginError: the libraries of the ``reports`` extra are not there; says how to install them.
        InvalidArgument: the file's folder is not there.
    """
    missing = [name for name in ("jinja2", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        needed = " and ".join(missing)
        raise PluginError(
            f"--html needs {needed}; install with: pip install 'cuvee[reports]', in a checkout '.[reports]'"
        )
    if not html.resolve().parent.is_dir():
        raise InvalidArgument("--html", f"the folder {html.resolve().parent} does not exist; create it first")
    if html.is_dir():
        raise InvalidArgument("--html", f"{html} is a folder; name a file in it")


def write_page(page: Page, file: Path) -> None:
    """Write a page as UTF-8."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cuvee.cli.html", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    file.write_text(environment.get_template("page.html.j2").render(page=page), encoding="utf-8")
