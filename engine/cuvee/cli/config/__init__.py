"""``cuvee config``: a product's file, as a running server has it."""

from cuvee.cli.config.command import register

__all__ = ["register"]
