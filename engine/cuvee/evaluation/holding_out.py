"""Evaluation protocols: how events are held out.

===============  ===========================================================================
leave-last-out   each user's last event by time
validation       the one before it, without using the last one: for tuning
global-time      everything after a point in time, of users with and without a history
random-80-20     a fifth of each user's events
ncf              the last event against 99 random items that the user never saw
cold-users       users that are new to the models, after their first 0, 1, 3, 5 events
cold-items       items that are new to the models, and what serving them costs the other items
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
