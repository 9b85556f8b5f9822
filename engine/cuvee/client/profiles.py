"""A user's declared profile as a message, from Python's values or as people type it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from cuvee.errors import InvalidArgument
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["profile", "profile_in_texts"]

Attribute: TypeAlias = str | float | bool | Sequence[str] | None


def _value(given: Attribute) -> pb.AttributeValue:
    if given is None:
        return pb.AttributeValue()
    if isinstance(given, bool):
        return pb.AttributeValue(flag=given)
    if isinstance(given, str):
        return pb.AttributeValue(text=given)
    if isinstance(given, int | float):
        return pb.AttributeValue(number=given)
    return pb.AttributeValue(texts=pb.StringList(values=given))


def profile(
    attributes: Mapping[str, Attribute] | None = None, interests: Mapping[str, Sequence[str]] | None = None
) -> pb.UserProfile:
    """A user's declared profile: ``profile({"age": 24}, {"genres": ["Film-Noir"]})``. None is a null."""
    return pb.UserProfile(
        attributes={name: _value(value) for name, value in (attributes or {}).items()},
        interests={name: pb.StringList(values=liked) for name, liked in (interests or {}).items()},
    )


def profile_in_texts(attributes: Sequence[str], interests: Sequence[str]) -> pb.UserProfile | None:
    """A profile as people type it: ``["age=24"]`` and ``["genres=Film-Noir,Crime"]``. None where both are empty.

    An attribute's value is a number, ``true``, ``false``, or text; in double quotes it is always text.

    Raises:
        InvalidArgument: one is not column=value; names ``profile.attributes`` or ``profile.interests``.
    """
    if not attributes and not interests:
        return None
    known = dict(_pair(given, "profile.attributes") for given in attributes)
    liked: dict[str, list[str]] = {}
    for given in interests:
        column, values = _pair(given, "profile.interests")
        liked.setdefault(column, []).extend(part.strip() for part in values.split(",") if part.strip())
    return profile({column: _read(text) for column, text in known.items()}, liked)


def _pair(given: str, field: str) -> tuple[str, str]:
    column, equals, value = (part.strip() for part in given.partition("="))
    if not (column and equals and value):
        raise InvalidArgument(field, f"{given!r} is not column=value")
    return column, value


def _read(text: str) -> str | float | bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    try:
        return float(text)
    except ValueError:
        return text
