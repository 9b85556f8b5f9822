"""Arrays and queries, from numpy to the messages of recommender.proto and back: both sides use this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from cuvee.recommender import Histories, Ints, Profile, Queries, Ragged
from cuvee.v1 import recommendation_pb2 as lists_pb
from cuvee.v1 import recommender_pb2 as pb

__all__ = ["Malformed", "array_of", "message_of", "numbers_of", "queries_of"]

TYPES = MappingProxyType(
    {
        np.dtype(np.int32): pb.DATA_TYPE_INT32,
        np.dtype(np.float32): pb.DATA_TYPE_FLOAT32,
        np.dtype(np.float64): pb.DATA_TYPE_FLOAT64,
    }
)


class Malformed(ValueError):
    """An array is not what it must be; says what it is and what it must be."""


def array_of(numbers: npt.NDArray[Any]) -> pb.Array:
    """The message for an int32, float32 or float64 array."""
    little = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
    return pb.Array(type=TYPES[numbers.dtype.newbyteorder("=")], shape=numbers.shape, data=little.tobytes())


def numbers_of(message: pb.Array, kind: type[np.generic], *shape: int | None, name: str) -> npt.NDArray[Any]:
    """The read-only array of a message.

    Args:
        message: the array as it came.
        kind: the type that its numbers must have.
        shape: the sizes that it must have; None allows any.
        name: what it is called in the error.

    Raises:
        Malformed: type, sizes or number of bytes differ.
    """
    wanted = np.dtype(kind)
    sizes = tuple(message.shape)
    fits = len(sizes) == len(shape) and all(w is None or w == got for w, got in zip(shape, sizes, strict=True))
    if message.type != TYPES[wanted] or not fits or min(sizes, default=0) < 0:
        there = {number: str(dtype) for dtype, number in TYPES.items()}.get(message.type, "numbers of no known type")
        asked = ", ".join("any" if size is None else str(size) for size in shape)
        raise Malformed(f"{name} must be {wanted}[{asked}], and is {there}{list(sizes[:4])}")
    if len(message.data) != math.prod(sizes) * wanted.itemsize:
        raise Malformed(f"{name} must have {math.prod(sizes)} numbers, and has {len(message.data)} bytes")
    return np.frombuffer(message.data, wanted.newbyteorder("<")).astype(wanted, copy=False).reshape(sizes)


def _value(value: str | float | bool | tuple[str, ...]) -> lists_pb.AttributeValue:
    if isinstance(value, bool):
        return lists_pb.AttributeValue(flag=value)
    if isinstance(value, str):
        return lists_pb.AttributeValue(text=value)
    if isinstance(value, tuple | list):
        return lists_pb.AttributeValue(texts=lists_pb.StringList(values=value))
    return lists_pb.AttributeValue(number=value)


def _profile(profile: Profile) -> lists_pb.UserProfile:
    return lists_pb.UserProfile(
        attributes={name: _value(value) for name, value in profile.attributes.items()},
        interests={name: lists_pb.StringList(values=values) for name, values in profile.interests.items()},
    )


def message_of(queries: Queries, user_ids: Sequence[str]) -> pb.Queries:
    """The message for B queries and the ids of their users."""
    histories, excluded = queries.histories, queries.excluded
    return pb.Queries(
        user_ids=user_ids,
        offsets=array_of(histories.offsets.astype(np.int32)),
        items=array_of(histories.items),
        weights=array_of(histories.weights),
        times=array_of(histories.times),
        excluded_offsets=array_of(excluded.offsets.astype(np.int32)),
        excluded_items=array_of(excluded.items),
        eligible=b"" if queries.eligible is None else np.packbits(queries.eligible, bitorder="little").tobytes(),
        profiles=[_profile(one) for one in queries.profiles] if any(queries.profiles) else (),
        now=queries.now,
    )


def _read_value(value: lists_pb.AttributeValue) -> str | float | bool | tuple[str, ...] | None:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    return tuple(value.texts.values) if kind == "texts" else getattr(value, kind)


def _read_profile(message: lists_pb.UserProfile) -> Profile:
    attributes = {name: read for name, one in message.attributes.items() if (read := _read_value(one)) is not None}
    return Profile(attributes, {name: tuple(one.values) for name, one in message.interests.items()})


def _ragged(offsets: pb.Array, items: pb.Array, b: int, n_items: int, name: str) -> Ragged:
    at = numbers_of(offsets, np.int32, b + 1, name=f"{name}offsets").astype(np.int64)
    if at[0] != 0 or (np.diff(at) < 0).any():
        raise Malformed(f"{name}offsets must begin with 0 and never fall")
    found = numbers_of(items, np.int32, int(at[-1]), name=f"{name}items")
    if len(found) and not (found.min() >= 0 and found.max() < n_items):
        raise Malformed(f"{name}items must be rows of the table of {n_items}")
    return Ragged(at, found)


def queries_of(message: pb.Queries, users: Ints, n_items: int) -> Queries:
    """The queries of a message, for users (int32[B]) over a table of n items.

    Raises:
        Malformed: they are not what recommender.proto promises.
    """
    b = len(message.user_ids)
    history = _ragged(message.offsets, message.items, b, n_items, "")
    n = len(history.items)
    weights = numbers_of(message.weights, np.float32, n, name="weights")
    times = numbers_of(message.times, np.float64, n, name="times")
    eligible = None
    if message.eligible:
        bits = np.frombuffer(message.eligible, np.uint8)
        if len(bits) != -(-n_items // 8):
            raise Malformed(f"eligible must have a bit for each of {n_items} items, and has {len(bits)} bytes")
        eligible = np.unpackbits(bits, count=n_items, bitorder="little").astype(np.bool_)
    if message.profiles and len(message.profiles) != b:
        raise Malformed(f"there are {len(message.profiles)} profiles for {b} queries")
    return Queries.build(
        Histories(history.offsets, history.items, weights, times),
        users=users,
        profiles=[_read_profile(one) for one in message.profiles] or None,
        now=message.now,
        excluded=_ragged(message.excluded_offsets, message.excluded_items, b, n_items, "excluded_"),
        eligible=eligible,
    )
