"""``cuvee check``: validate the configuration, print it with its defaults, and check that it can be served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.config import Settings
    from cuvee.errors import Mistake
    from cuvee.registry import Registry

__all__ = ["register", "warnings_of"]


def register(app: typer.Typer) -> None:
    """Add ``check``."""
    app.command(
        epilog=options.examples(
            "cuvee check                               ./cuvee.toml and ./products/*.toml",
            "cuvee check --config deploy/cuvee.toml    another one",
            "cuvee check > effective.toml              with every default filled in",
        )
    )(check)


def check(config: options.Config = options.DEFAULT_CONFIG, as_json: options.Json = False) -> None:
    """Validate the configuration and print it with all defaults filled in.

    Every mistake of every file is reported at once, with its path, also
    rules that do not fit the catalogue; the exit code is then 2. Models that
    are missing, or were fitted under another configuration, cause a warning.
    """
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text

    from cuvee.cli.terminal.tables import print_json
    from cuvee.config.printing import as_toml

    settings, registry = _checked(config)
    effective = settings.effective()
    warnings = list(warnings_of(settings, registry))
    if as_json:
        print_json({"revision": settings.revision, "config": effective, "warnings": warnings})
        return
    console = Console(highlight=False, soft_wrap=True)
    text = f"# revision {settings.revision}\n\n" + as_toml(effective)
    if console.is_terminal:
        console.print(Syntax(text, "toml", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        console.print(Text(text), end="")
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    for warning in warnings:
        told.print(Text.assemble(("warning: ", "bold yellow"), warning))
    products = f"{len(settings.products)} product{'s' * (len(settings.products) != 1)}"
    recommenders = f"{len(settings.recommenders)} recommenders"
    told.print(
        Text.assemble(("ok: ", "bold green"), f"{config}: {products}, {recommenders}, revision {settings.revision}")
    )


def _checked(config: Path) -> tuple[Settings, Registry]:
    """The configuration, checked for mistakes in itself, and in its rules over the catalogues.

    Raises:
        ConfigError: with every mistake.
    """
    from cuvee.config import read_settings
    from cuvee.errors import ConfigError
    from cuvee.serving.access.access import access_mistakes

    registry = options.open_registry()
    settings, mistakes = read_settings(config, registry)
    if settings is not None:
        for name in settings.products:
            mistakes += _rules_mistakes(settings, registry, name, config)
    if settings is not None and not any(mistake.path.startswith("server") for mistake in mistakes):
        mistakes += access_mistakes(settings)
    if mistakes or settings is None:
        raise ConfigError(mistakes)
    return settings, registry


def _rules_mistakes(settings: Settings, registry: Registry, name: str, config: Path) -> Iterator[Mistake]:
    """Rules of a product and of its variants that do not fit the catalogue."""
    from pydantic import ValidationError

    from cuvee.artifacts.snapshot import rules_of
    from cuvee.data.imported import imported_data
    from cuvee.errors import ConfigError, CuveeError, Mistake

    product = settings.products[name]
    tried = []
    for label, one in {"": product, **product.variants}.items():
        for at, use in enumerate(one.rules):
            if use.use not in registry.rules or use in tried:
                continue
            tried.append(use)
            alone = one.model_copy(update={"rules": (use,)})
            try:
                rules_of(alone, registry, imported_data(settings, name).catalog)
            except ConfigError as problem:
                file = str(options.product_file(config, name))
                whose = f"in the variant {label}: " if label else ""
                yield from (Mistake(file, f"rules.{at}", whose + m.message) for m in problem.mistakes)
            except (CuveeError, ValidationError):  # there is no catalogue, or the mistake is reported already
                continue


def warnings_of(settings: Settings, registry: Registry) -> Iterator[str]:
    """What keeps a product from being served as configured, found by loading it as the server does.

    Raises:
        ConfigError: a rule does not fit the catalogue.
    """
    import structlog

    from cuvee.artifacts.snapshot import load_snapshot
    from cuvee.data.imported import imported_data, time_warnings
    from cuvee.errors import ConfigError, CuveeError
    from cuvee.serving.access.access import access_warnings

    yield from access_warnings(settings, settings.server.listen)
    used = {name for product in settings.products.values() for name in product.recommenders}
    for name in settings.recommenders:
        if name not in used:
            yield f"[recommenders.{name}] is used by no product"
    # loading logs the same warnings as are listed here
    with structlog.testing.capture_logs():
        for name in settings.products:
            try:
                timeless = time_warnings(settings, name, imported_data(settings, name))
                yield from (f"product {name}: {problem}" for problem in timeless)
                snapshot = load_snapshot(settings, registry, name)
            except ConfigError:
                raise
            except CuveeError as problem:
                yield f"product {name} cannot be served yet: {problem}"
                continue
            yield from (f"product {name}: {problem}" for problem in snapshot.problems)
            snapshot.close()
