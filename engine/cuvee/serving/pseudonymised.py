"""Replaces users' and sessions' ids by pseudonyms in incoming messages.

This is the only place that does so: no servicer, store, hook or log line ever gets the id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.fields import LONGEST_ID

__all__ = ["PERSONAL", "pseudonymise"]

PERSONAL = frozenset({"user_id", "session_id", "anonymous_id", "bucketing_id", "exclude_user_ids"})
"""The fields of requests that name a person or a session."""


@cache
def _fields(kind: Descriptor) -> tuple[Sequence[FieldDescriptor], Sequence[FieldDescriptor]]:
    """The fields of a message type that are such ids, and its message fields that contain some."""
    own = [field for field in kind.fields if field.name in PERSONAL]
    inside = [field for field in kind.fields if field.message_type is not None and any(_fields(field.message_type))]
    return own, inside


def pseudonymise(message: Message, pseudonyms: Pseudonyms) -> None:
    """Replace every id in a message. An invalid id stays as it is, so that the checks refuse it."""
    own, inside = _fields(message.DESCRIPTOR)
    for field in own:
        value: Any = getattr(message, field.name)
        if field.is_repeated:
            value[:] = [_replaced(one, pseudonyms) for one in value]
        elif value:
            setattr(message, field.name, _replaced(value, pseudonyms))
    for field in inside:
        if field.is_repeated:
            for one in getattr(message, field.name):
                pseudonymise(one, pseudonyms)
        elif message.HasField(field.name):
            pseudonymise(getattr(message, field.name), pseudonyms)


def _replaced(value: str, pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of(value) if len(value) <= LONGEST_ID and "\0" not in value else value
