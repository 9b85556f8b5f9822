"""``cuvee tune``: learn what each source counts, show what it is worth, and write it into the product's file."""

from cuvee.cli.tune.command import register

__all__ = ["register"]
