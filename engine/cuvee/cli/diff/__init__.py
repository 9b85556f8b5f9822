"""``cuvee diff``: what a changed configuration would do."""

from cuvee.cli.diff.command import register

__all__ = ["register"]
