"""``cuvee dataset``, ``import`` and ``export``: files into datasets and stores, and out of stores."""

import typer

from cuvee.cli.importing import command, public_sets, store_files

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``dataset``, ``import`` and ``export``."""
    public_sets.register(app)
    command.register(app)
    store_files.register(app)
