"""``cuvee operations``: fits and tunings that a running server makes, over AdminService."""

from cuvee.cli.operations.command import register

__all__ = ["register"]
