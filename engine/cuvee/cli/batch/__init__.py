"""``cuvee batch``."""

from cuvee.cli.batch.command import register

__all__ = ["register"]
