"""Protocols of evaluation: how events are held out.

===============  ===========================================================================
leave-last-out   each user's last event by time
validation       the one before it, the last left out altogether: to tune on
global-time      everything after a point of time, by people with a history or without
random-80-20     a fifth of each user's events
ncf              the last event against 99 random items that the user never saw
cold-users       people whom the models do not know, after 0, 1, 3, 5 of their first events
cold-items       items that the models do not know, and what serving them costs the others
===============  ===========================================================================
"""

from __future__ import annotations

import enum

__all__ = ["Protocol"]


class Protocol(enum.StrEnum):
    """How events are held out."""

    LEAVE_LAST_OUT = "leave-last-out"
    VALIDATION = "validation"
    GLOBAL_TIME = "global-time"
    RANDOM_80_20 = "random-80-20"
    NCF = "ncf"
    COLD_USERS = "cold-users"
    COLD_ITEMS = "cold-items"
