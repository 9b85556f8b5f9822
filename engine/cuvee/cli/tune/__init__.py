"""``cuvee tune``: learn the weight of each source, show the gain, and write it into the product's file."""

from cuvee.cli.tune.command import register

__all__ = ["register"]
