"""``cuvee evaluate``: how good the lists are, as tables, plots and a report."""

from cuvee.cli.evaluate.command import register

__all__ = ["register"]
