"""Common options of the commands, and loading of settings and plugins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cuvee.errors import NotFound

if TYPE_CHECKING:
    from cuvee.config import Settings
    from cuvee.registry import Registry

__all__ = [
    "DEFAULT_CONFIG",
    "Config",
    "Html",
    "Json",
    "Product",
    "Refit",
    "check_product",
    "examples",
    "open_registry",
    "open_settings",
    "product_file",
]

Config = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="CUVEE_CONFIG", help="The configuration; products/*.toml lie beside it."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Product = Annotated[str, typer.Argument(help="A product: products/<name>.toml.", metavar="PRODUCT")]

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page with plots, one file. Needs the extra `reports`."),
]
Refit = Annotated[
    list[str] | None,
    typer.Option(
        "--refit", metavar="RECOMMENDER", help="Fit this recommender again, although its fit was kept. Repeatable."
    ),
]

DEFAULT_CONFIG = Path("cuvee.toml")


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  [cyan]{escape(line)}[/cyan]" for line in lines)])


def open_registry() -> Registry:
    """Load the installed plugins.

    Raises:
        PluginError: two plugins register one name.
    """
    import sys

    import structlog

    from cuvee.registry import Registry

    # stdout is for the command's own output
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return Registry.load()


def open_settings(config: Path, *about: str) -> tuple[Settings, Registry]:
    """Load the installed plugins and the whole configuration.

    Where the command is about single products, mistakes in the files of others do not stop it.

    Raises:
        ConfigError: with every mistake.
        PluginError: two plugins register one name.
    """
    from cuvee.config import load_settings

    registry = open_registry()
    return load_settings(config, registry, despite=bool(about), about=about), registry


def product_file(config: Path, product: str) -> Path:
    """The path of a product's file, beside a configuration that can be read."""
    import tomllib

    folder = tomllib.loads(config.read_text(encoding="utf-8")).get("products", "products")
    return config.parent / str(folder) / f"{product}.toml"


def check_product(settings: Settings, name: str) -> str:
    """The given name, after checking that there is such a product.

    Raises:
        NotFound: names those that there are.
    """
    if name not in settings.products:
        raise NotFound("product", name, sorted(settings.products))
    return name
