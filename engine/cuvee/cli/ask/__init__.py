"""``cuvee recommend``, ``similar`` and ``rank``: ask a running server."""

from cuvee.cli.ask.command import register

__all__ = ["register"]
