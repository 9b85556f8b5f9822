"""``cuvee store``: the tables of events and of the catalogue."""

from __future__ import annotations

import typer

from cuvee.cli.terminal import options

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``store`` with its commands."""
    store = typer.Typer(
        no_args_is_help=True,
        help="Look after the store of events and of the catalogue.",
        epilog=options.examples("cuvee store migrate    make its tables, or bring them up to date"),
    )
    store.command(
        epilog=options.examples(
            "cuvee store migrate                               after each update of cuvee, before its servers start",
            "cuvee store migrate --config deploy/cuvee.toml    of another configuration",
        )
    )(migrate)
    store.command(
        epilog=options.examples("cuvee store prune    what servers do once an hour, at once and where no server runs")
    )(prune)
    app.add_typer(store, name="store")


def migrate(config: options.Config = options.DEFAULT_CONFIG) -> None:
    """Create the store's tables, or update them; does nothing where they are up to date.

    A server does this itself for SQLite. For PostgreSQL only this command does.
    """
    from rich.console import Console
    from rich.text import Text

    from cuvee.data.store.opening import migrate as migrate_tables
    from cuvee.data.store.opening import open_database, schema_of

    settings, _ = options.open_settings(config)
    database = open_database(settings)
    try:
        before = schema_of(database)
        migrate_tables(database)
        after = schema_of(database)
    finally:
        database.close()
    where = database.url.render_as_string(hide_password=True)
    said = f"are of version {after} already" if before == after else f"were of version {before or 'none'}, now {after}"
    Console(highlight=False).print(Text.assemble((where, "bold"), f": its tables {said}"), soft_wrap=True)


def prune(config: options.Config = options.DEFAULT_CONFIG) -> None:
    """Delete the events that are older than `retention_days` of their product."""
    from collections import Counter

    from rich.console import Console

    from cuvee.data.store.opening import existing_store
    from cuvee.data.store.retention import prune as prune_events

    settings, _ = options.open_settings(config)
    counts: Counter[str] = Counter()
    store = existing_store(settings)
    if store is not None:
        try:
            for name, count in prune_events(store, settings.products):
                counts[name] += count
        finally:
            store.close()
    console = Console(highlight=False)
    for name, product in settings.products.items():
        days = product.events.retention_days
        kept = (
            "keeps its events for good" if days is None else f"{counts[name]:,} events older than {days} days deleted"
        )
        console.print(f"{name}: {kept}", soft_wrap=True)
