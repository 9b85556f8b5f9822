"""``cuvee snapshots``: which versions of the models there are, and which one answers."""

from cuvee.cli.snapshots.command import register

__all__ = ["register"]
