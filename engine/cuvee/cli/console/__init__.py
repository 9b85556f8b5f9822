"""``cuvee console``: web pages over a running server."""

from cuvee.cli.console.command import register

__all__ = ["register"]
