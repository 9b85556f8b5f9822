"""``cuvee plugin``: beginnings of plugins."""

from cuvee.cli.plugin.command import register

__all__ = ["register"]
