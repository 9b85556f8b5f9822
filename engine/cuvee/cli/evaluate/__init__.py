"""``cuvee evaluate``: the quality of lists, as tables, plots and a report."""

from cuvee.cli.evaluate.command import register

__all__ = ["register"]
