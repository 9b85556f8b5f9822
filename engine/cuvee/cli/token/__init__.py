"""``cuvee token``: who may ask a server, by bearer token."""

from cuvee.cli.token.command import register

__all__ = ["register"]
