"""Checks of a request's fields against what their comments in the proto promise, each naming the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import polars as pl

from cuvee.data.filters import MAX_LENGTH as LONGEST_FILTER
from cuvee.data.ids import LONGEST_ID
from cuvee.errors import InvalidArgument
from cuvee.product import PageSize
from cuvee.recommender import Profile
from cuvee.v1 import recommendation_pb2 as pb

__all__ = [
    "LONGEST_ID", "LONGEST_TEXT", "MOST_ANCHORS", "MOST_ATTRIBUTES", "MOST_CONTEXT", "MOST_EXCLUDED", "MOST_INTERESTS",
    "MOST_LISTED", "MOST_REQUESTS", "attribute_of", "check_filter", "check_fits", "check_id",
    "check_ids", "check_texts", "declared", "length_of",
]  # fmt: skip

LONGEST_TEXT = 65_536
WHOLE = 2**53
"""The largest whole number that a double holds exactly."""
MOST_ANCHORS = 20
MOST_CONTEXT = 200
MOST_EXCLUDED = 1000
MOST_LISTED = 1000
MOST_REQUESTS = 1000
MOST_ATTRIBUTES = 64
MOST_INTERESTS = 32
MOST_VALUES = 100


def check_id(field: str, value: str, *, required: bool = False) -> str:
    """An id of 1 to 256 characters; an empty one where it is not ``required``."""
    if not value and required:
        raise InvalidArgument(field, "is required")
    if len(value) > LONGEST_ID:
        raise InvalidArgument(field, f"has {len(value)} characters; at most {LONGEST_ID} are taken")
    return value


def check_ids(field: str, values: Sequence[str], most: int, least: int = 0) -> Sequence[str]:
    """A list of ``least`` to ``most`` ids."""
    if len(values) > most:
        raise InvalidArgument(field, f"has {len(values)} entries; at most {most} are taken")
    if len(values) < least:
        raise InvalidArgument(field, f"needs at least {least}")
    for at, value in enumerate(values):
        if not 0 < len(value) <= LONGEST_ID:
            raise InvalidArgument(f"{field}[{at}]", f"has {len(value)} characters; an id has 1 to {LONGEST_ID}")
    return values


def length_of(page_size: int, sizes: PageSize) -> int:
    """The coerced page size."""
    if page_size < 0:
        raise InvalidArgument("page_size", f"is {page_size}; 0 takes the default ({sizes.default}), or give 1 and more")
    return min(page_size, sizes.max) if page_size else sizes.default


def check_filter(sql: str) -> str:
    """Check a filter's length; it is compiled later, in a thread."""
    if len(sql) > LONGEST_FILTER:
        raise InvalidArgument("filter", f"has {len(sql)} characters; at most {LONGEST_FILTER} are taken")
    return sql


def check_texts(field: str, values: Sequence[str]) -> tuple[str, ...]:
    """A list of texts, each once, in the caller's order."""
    if len(values) > MOST_VALUES:
        raise InvalidArgument(field, f"has {len(values)} values; at most {MOST_VALUES} are taken")
    for at, value in enumerate(values):
        if len(value) > LONGEST_ID:
            raise InvalidArgument(f"{field}[{at}]", f"has {len(value)} characters; at most {LONGEST_ID} are taken")
    return tuple(dict.fromkeys(values))


def attribute_of(field: str, value: pb.AttributeValue) -> str | float | bool | tuple[str, ...] | None:
    """The value of one attribute; None is a null."""
    match value.WhichOneof("value"):
        case "text":
            if len(value.text) > LONGEST_TEXT:
                raise InvalidArgument(field, f"has {len(value.text)} characters; at most {LONGEST_TEXT} are taken")
            return value.text
        case "number":
            if not math.isfinite(value.number):
                raise InvalidArgument(field, "is not a finite number")
            return value.number
        case "texts":
            return check_texts(f"{field}.texts.values", value.texts.values)
        case "flag":
            return value.flag
        case _:
            return None


def check_fits(field: str, value: str | float | bool | tuple[str, ...], kind: pl.DataType) -> None:
    """Whether a column of this type can hold the value."""
    if kind == pl.Boolean:
        fits, wanted = isinstance(value, bool), "a flag"
    elif kind.is_integer():
        fits = isinstance(value, float) and value.is_integer() and abs(value) <= WHOLE
        wanted = "a whole number"
    elif kind.is_numeric():
        fits, wanted = isinstance(value, float), "a number"
    elif isinstance(kind, pl.List | pl.Array):
        fits, wanted = isinstance(value, tuple) and kind.inner == pl.String, "texts"
    else:  # strings, and types that are written as strings: categories, dates
        fits, wanted = isinstance(value, str), "a text"
    if not fits:
        raise InvalidArgument(field, f"does not fit the column, which holds {wanted}")


def declared(profile: pb.UserProfile, columns: Mapping[str, pl.DataType]) -> tuple[Profile, frozenset[str]]:
    """The profile that the caller declares, and the attributes that are declared as unknown (null).

    Attributes that are no columns of the product's users are checked against the limits, then
    left out.
    """
    if len(profile.attributes) > MOST_ATTRIBUTES:
        given = len(profile.attributes)
        raise InvalidArgument("profile.attributes", f"has {given} entries; at most {MOST_ATTRIBUTES} are taken")
    if len(profile.interests) > MOST_INTERESTS:
        given = len(profile.interests)
        raise InvalidArgument("profile.interests", f"has {given} columns; at most {MOST_INTERESTS} are taken")
    attributes = {}
    nulls = set()
    for name, given_value in profile.attributes.items():
        field = f"profile.attributes[{name}]"
        value = attribute_of(field, given_value)
        if name == "id" or name not in columns:
            continue
        if value is None:
            nulls.add(name)
            continue
        check_fits(field, value, columns[name])
        attributes[name] = value
    interests = {
        name: check_texts(f"profile.interests[{name}].values", liked.values)
        for name, liked in profile.interests.items()
    }
    return Profile(attributes, {n: liked for n, liked in interests.items() if liked}), frozenset(nulls)
