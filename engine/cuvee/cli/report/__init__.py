"""``cuvee report``: what came of what was shown, as a table and as a page with plots."""

from cuvee.cli.report.command import register

__all__ = ["register"]
