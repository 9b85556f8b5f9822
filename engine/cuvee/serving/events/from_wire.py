"""From an event message to a row of the store, or an error with the path of the wrong field."""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection

from google.protobuf.timestamp_pb2 import Timestamp

from cuvee.data.store.rows import LATEST, LONGEST_EVENT_ID, SKEW, EventRow, EventType, now
from cuvee.data.store.weights import HEAVIEST
from cuvee.errors import InvalidArgument, NotFound
from cuvee.serving.fields import LONGEST_ID, check_id
from cuvee.v1 import events_pb2 as pb

__all__ = ["MOST_EVENTS", "Clock", "check_text", "checked", "microseconds_of", "time_of"]

MOST_EVENTS = 1000
"""Of one WriteEvents."""
TYPES = frozenset(int(kind) for kind in EventType)


class Clock:
    """Times of receipt, in microseconds: strictly rising, so that the order of arrival is kept."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        """Now."""
        self._last = max(now(), self._last + 1)
        return self._last


def check_text(field: str, value: str, longest: int = LONGEST_ID) -> str:
    """A text that can be stored; it may be empty."""
    if len(value) > longest:
        raise InvalidArgument(field, f"has {len(value)} characters; at most {longest} are taken")
    if "\0" in value:
        raise InvalidArgument(field, "holds the character NUL, or bytes that are no UTF-8; neither can be stored")
    return value


def stored_id(field: str, value: str) -> str:
    """An id that can be stored; it is required."""
    check_id(field, value, required=True)
    return check_text(field, value)


def microseconds_of(field: str, stamp: Timestamp) -> int:
    """Microseconds since the epoch; nanoseconds are truncated."""
    if not (0 <= stamp.seconds < LATEST and 0 <= stamp.nanos < 1_000_000_000):
        raise InvalidArgument(field, "is not a time from 1970 to 9999 (seconds, and nanos from 0 to 999,999,999)")
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000


def time_of(microseconds: int) -> Timestamp:
    """The same as a message."""
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def _value(event: pb.Event) -> float:
    given = event.HasField("value")
    value = event.value if given else 1.0
    if not math.isfinite(value):
        raise InvalidArgument("value", "is not a finite number")
    if event.type == pb.EVENT_TYPE_RATING:
        if not given:
            raise InvalidArgument("value", "is required: it holds the rating")
    elif event.type == pb.EVENT_TYPE_PURCHASE:
        if value <= 0:
            raise InvalidArgument("value", f"is {value:g}; how many pieces were bought is above 0")
    elif value < 0:
        raise InvalidArgument("value", f"is {value:g}; it may not be negative, a DISMISS says what was not liked")
    elif value > HEAVIEST:
        raise InvalidArgument("value", f"is {value:g}; an event of this type has a value from 0 to {HEAVIEST:g}")
    return value


def checked(event: pb.Event, products: Collection[str], received: int) -> EventRow:
    """The row to store. ``received`` is in microseconds since the epoch.

    Raises:
        InvalidArgument: naming the field inside the event.
        NotFound: there is no such product.
    """
    product = stored_id("product", event.product)
    if product not in products:
        raise NotFound("product", product, sorted(products))
    user, session = check_text("user_id", event.user_id), check_text("session_id", event.session_id)
    if not (user or session):
        raise InvalidArgument("user_id", "is empty, and session_id is, too; one of them says who it was")
    item = stored_id("item_id", event.item_id)
    if event.type not in TYPES:
        names = ", ".join(kind.name for kind in EventType)
        raise InvalidArgument("type", f"is {event.type}; an event is one of {names}")
    value = _value(event)
    time = microseconds_of("event_time", event.event_time) if event.HasField("event_time") else received
    if time > received + SKEW:
        raise InvalidArgument("event_time", "is more than 5 minutes in the future; is the sender's clock right?")
    position = event.position if event.HasField("position") else None
    if position is not None and position < 0:
        raise InvalidArgument("position", f"is {position}; the first place is 0")
    recommendation = check_text("recommendation_id", event.recommendation_id)
    event_id = check_text("event_id", event.event_id, LONGEST_EVENT_ID)
    return EventRow(
        product,
        event_id or uuid.uuid4().hex,
        user or session,
        item,
        event.type,
        value,
        time,
        received,
        session or None,
        recommendation or None,
        position,
    )
