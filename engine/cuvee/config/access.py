"""Who may ask the server, and for what."""

from __future__ import annotations

import enum

__all__ = ["Scope"]


class Scope(enum.StrEnum):
    """What a caller may do. Each rpc needs exactly one of them (``cuvee.serving.access.rules``)."""

    RECOMMEND = "recommend"
    """Ask for lists, and read items."""
    WRITE = "write"
    """Write events, items and users."""
    PRIVACY = "privacy"
    """Read, export and delete what is known of a user."""
    ADMIN = "admin"
    """See and change what this server serves."""
