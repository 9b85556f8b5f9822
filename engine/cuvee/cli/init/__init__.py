"""``cuvee init``: from files to a configuration and a first list."""

from cuvee.cli.init.command import register

__all__ = ["register"]
