"""What the store keeps, as plain values: no SQL here, and no messages of the wire.

Times are microseconds since the Unix epoch, as integers.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "LATEST", "LONGEST_EVENT_ID", "LONGEST_ID", "SKEW",
    "Attribute", "EventRow", "EventType", "ExposureRow", "Forgotten", "History", "ItemChange", "ItemRow", "Merged",
    "UserRow", "UserState", "now",
]  # fmt: skip

LONGEST_ID = 256
"""Characters."""
LONGEST_EVENT_ID = 128
SKEW = 5 * 60 * 1_000_000
"""Microseconds that an event's time may be ahead of this machine's clock."""
LATEST = 253_402_300_800
"""Seconds: the end of the year 9999, where timestamps end."""

Attribute: TypeAlias = str | float | bool | list[str]
"""A value of a catalogue's column: a text, a number, a flag, or several texts."""


class EventType(enum.IntEnum):
    """What kind of thing a user did; the numbers are those of the proto."""

    VIEW = 1
    CLICK = 2
    FAVOURITE = 3
    PURCHASE = 4
    RATING = 5
    DISMISS = 6


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event."""

    product: str
    event_id: str
    owner: str
    """Whom it belongs to: the user, or the session while nobody knows who it is."""
    item_id: str
    type: int
    value: float
    time: int
    received: int
    session_id: str | None = None
    recommendation_id: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ExposureRow:
    """One item of an answer: where it stood, and who put it there."""

    product: str
    recommendation_id: str
    position: int
    item_id: str
    time: int
    source: str
    """Which contributed most, or filled the place from the fallback chain."""
    segment: str
    kind: str
    """``blend``, ``fallback`` or ``exploration``."""
    variant: str
    version: str
    """Of the snapshot."""


@dataclass(frozen=True, slots=True)
class History:
    """One user's events, oldest first."""

    item_ids: Sequence[str] = ()
    types: Sequence[int] = ()
    values: Sequence[float] = ()
    times: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True, slots=True)
class UserState:
    """What one indexed read says of a user."""

    stamp: int | None
    """Changes whenever the user's events or profile do; None where nothing is stored."""
    forgotten: bool
    """What was imported of the user must not be used."""
    revision: int
    """Of the product's items: what a reader must have seen of them to show none that is gone."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user."""

    user_id: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    interests: Mapping[str, Sequence[str]] = field(default_factory=dict)
    created: int | None = None
    updated: int | None = None
    """None for one who has events alone."""
    event_count: int = 0


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item: all of its title and attributes, not only what changed."""

    item_id: str
    title: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    deleted: bool = False
    created: int | None = None
    """None for one that was imported before the store knew it."""
    updated: int | None = None
    revision: int = 0
    born: int = 0


@dataclass(frozen=True, slots=True)
class ItemChange:
    """What a write made of one item."""

    row: ItemRow
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge of users moved."""

    events: int
    profile: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What there was of a user who is forgotten."""

    events: int
    profile: bool
    sessions: int
    """Events of others that named the id as their session; they stay, without it."""


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
