"""The store's rows as plain values, without SQL and protobuf messages.

Times are microseconds since the Unix epoch, as integers.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "LATEST", "LONGEST_EVENT_ID", "SKEW",
    "Attribute", "EventRow", "EventType", "ExperimentAnswerRow", "ExposureRow", "Forgotten", "History", "ItemChange",
    "ItemRow", "Merged", "UserRow", "UserState", "now",
]  # fmt: skip

LONGEST_EVENT_ID = 128
"""Characters."""
SKEW = 5 * 60 * 1_000_000
"""How far an event's time may be ahead of this machine's clock, in microseconds."""
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
    """The event's owner: the user, or the session while the user is unknown."""
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
    """One item of an answer: its position, and the source that it came from."""

    product: str
    recommendation_id: str
    position: int
    item_id: str
    time: int
    source: str
    """The source that contributed most, or that filled the position from the fallback chain."""
    segment: str
    kind: str
    """``blend``, ``fallback`` or ``exploration``."""
    variant: str
    version: str
    """Of the snapshot."""


@dataclass(frozen=True, slots=True)
class ExperimentAnswerRow:
    """One answer that was shown to a participant of experiments."""

    product: str
    recommendation_id: str
    unit: str
    """By what the experiments chose: it is stored as a keyed hash."""
    variants: str
    """Labels, joined with commas."""
    segment: str
    items: int
    """How many were shown."""
    time: int


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
    """The state of a user, from one indexed read."""

    stamp: int | None
    """Changes whenever the user's events or profile do; None where nothing is stored."""
    forgotten: bool
    """The user's imported rows must not be used."""
    revision: int
    """The revision of the product's items that a reader must have read, so that it shows no deleted item."""


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
    """None for an item that was imported and not stored yet."""
    updated: int | None = None
    revision: int = 0
    born: int = 0


@dataclass(frozen=True, slots=True)
class ItemChange:
    """The result of writing one item."""

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
    """How much data a forgotten user had."""

    events: int
    profile: bool
    sessions: int
    """Other users' events with the id as their session; they are kept without it."""


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
