"""Bytes and messages that a server must survive, the calls that send them, and the answers that are allowed.

Everything is drawn from a :class:`random.Random`: seeded in the long run, Hypothesis' own in the tests, so that
what fails there is made small.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import grpc
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2, recommendation_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

__all__ = ["METHODS", "Facts", "Outcome", "Sender", "garbage_on_port", "mutated", "random_bytes", "random_message"]

METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method
    for file in (recommendation_pb2, events_pb2, catalog_pb2, admin_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every rpc of ours."""
NEEDED = frozenset({"product", "user_id", "item_id", "item_ids", "type", "item", "user", "anonymous_id"})
"""Fields without which a request is refused at once."""
FAULTS = frozenset({"INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS"})
"""Status codes that no readable message may lead to."""
ODD = [
    "", "\0", "a\0b", "\u202eright to left", "\U0001f600" * 64, "x" * 256, "x" * 257, "e\u0301", "%s%n{0}", "null",
    "NaN", "../../etc/passwd", "'; DROP TABLE events; --", "\ufeff", "\uffff", " ", "\n", "-1", "1e999", "film-001 ",
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 7, 100, 1000, 1001, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**32 - 1, 2**64 - 1]
REALS = [0.0, -0.0, 1.0, -1.0, 0.1, 3.5, 1e6, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]
LITERALS = ["1", "-2.5", "'x'", "NULL", "TRUE", "1e400", "''", "'%'", "0x1F", "9" * 30, "DATE '2020-01-01'"]
SECONDS = [0, 1, -1, 1_700_000_000, 2**31, 253402300799, 253402300800, -62135596800, 2**62, -(2**62)]


@dataclass(frozen=True)
class Facts:
    """Ids and names that a server knows, so that not everything drawn is foreign to it."""

    products: Sequence[str]
    users: Sequence[str]
    items: Sequence[str]
    columns: Sequence[str]
    odd: float = 0.15
    """The share of values that are odd."""

    def drawn(self, rng: random.Random) -> Facts:
        """The same, with few odd values or many, so that some messages get past every check."""
        return replace(self, odd=rng.choice([0.0, 0.01, 0.15]))


def random_bytes(rng: random.Random) -> bytes:
    """Any bytes, or what looks like fields of a message."""
    size = rng.choice([0, 1, 2, 8, 40, 300, 3000])
    if rng.random() < 0.5:
        return bytes(rng.getrandbits(8) for _ in range(min(size, 300)))
    parts = []
    for _ in range(rng.randrange(8)):
        number, kind = rng.randrange(1, 20), rng.randrange(8)
        parts.append(_varint(number << 3 | kind))
        if kind == 2:
            length = rng.randrange(0, 40)
            parts.append(_varint(rng.choice([length, length, 2**31, 2**63])))
            parts.append(bytes(rng.getrandbits(8) for _ in range(length)))
        else:
            parts.append(bytes(rng.getrandbits(8) for _ in range(rng.choice([1, 4, 8, 10]))))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A message of which a few bytes are changed, lost, doubled or moved."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(made) + 1)
        to = min(len(made), at + rng.choice([1, 2, 8, 64]))
        match rng.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                del made[at:to]
            case 2:
                made[at:at] = bytes(rng.getrandbits(8) for _ in range(rng.choice([1, 2, 8])))
            case 3:
                made[at:at] = made[at:to]
            case 4:
                made = made[at:] + made[:at]
            case 5 if at < len(made):
                made[at] = rng.choice([0, 0x7F, 0x80, 0xFF])
            case _:
                continue
    return bytes(made)


def random_message(rng: random.Random, kind: Descriptor, facts: Facts, depth: int = 0) -> Message:
    """A message that any protobuf library would make: every field may be there, with any value of its type."""
    message = message_factory.GetMessageClass(kind)()
    facts = facts if depth else facts.drawn(rng)
    for field in kind.fields:
        needed = field.name in NEEDED and rng.random() > facts.odd
        if not needed and rng.random() < (0.25 if depth < 4 else 0.8):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(rng, message, field, facts, depth)
        elif field.is_repeated:
            many = rng.choice([0, 1, 2, 3, 3, 1001 if rng.random() < facts.odd / 4 else 2])
            if field.message_type is not None:
                getattr(message, field.name).extend(
                    random_message(rng, field.message_type, facts, depth + 1) for _ in range(min(many, 60))
                )
            else:
                getattr(message, field.name).extend(_scalar(rng, field, facts) for _ in range(many))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(random_message(rng, field.message_type, facts, depth + 1))
        else:
            setattr(message, field.name, _scalar(rng, field, facts))
    return message


def _fill_map(rng: random.Random, message: Message, field: FieldDescriptor, facts: Facts, depth: int) -> None:
    entry = field.message_type
    assert entry is not None
    value = entry.fields_by_name["value"]
    for _ in range(rng.choice([0, 1, 2, 3])):
        key = rng.choice(ODD if rng.random() < facts.odd else facts.columns)
        if value.message_type is not None:
            getattr(message, field.name)[key].CopyFrom(random_message(rng, value.message_type, facts, depth + 1))
        else:
            getattr(message, field.name)[key] = _scalar(rng, value, facts)


def _scalar(rng: random.Random, field: FieldDescriptor, facts: Facts) -> Any:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _text(rng, field, facts)
        case FieldDescriptor.TYPE_BYTES:
            return random_bytes(rng)
        case FieldDescriptor.TYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return rng.choice(REALS if rng.random() < facts.odd else REALS[:7])
        case FieldDescriptor.TYPE_ENUM:
            known = [v.number for v in field.enum_type.values] if field.enum_type else []
            return rng.choice([99, -1, 0] if rng.random() < facts.odd else known[1:])
    if field.name == "seconds":
        return rng.choice(SECONDS if rng.random() < facts.odd else [0, 1_700_000_000])
    signed = field.type in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}
    bits = 32 if field.type in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32} else 64
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return rng.choice([n for n in (NUMBERS if rng.random() < facts.odd else NUMBERS[:2]) if low <= n <= high])


def _text(rng: random.Random, field: FieldDescriptor, facts: Facts) -> str:
    if rng.random() < facts.odd:
        return rng.choice(ODD)
    name = field.name
    if name == "product":
        return rng.choice(facts.products)
    if name == "filter":
        return _filter(rng, facts)
    if name == "paths":
        return rng.choice(["title", "attributes", "*", "profile", *(f"attributes.{c}" for c in facts.columns)])
    if name in {"item_id", "item_ids"}:
        return rng.choice(facts.items)
    if name == "page_token":
        return ""
    return rng.choice([*rng.choices(facts.items, k=4), *rng.choices(facts.users, k=4), "nobody knows it", ""])


def _filter(rng: random.Random, facts: Facts, depth: int = 0) -> str:
    """An expression, mostly of the grammar, seldom of fitting types."""
    column = rng.choice([*facts.columns, "id", "nowhere"])
    literal = rng.choice(
        ["1", "-2.5", "'x'", "NULL", "TRUE", "1e400", "''", "'%'", "0x1F", "9" * 30, "DATE '2020-01-01'"]
    )
    if depth > 3 or rng.random() < 0.5:
        return rng.choice([
            f"{column} {rng.choice(['<', '>', '=', '<>', '>=', '<=>', 'LIKE', '~', 'IS'])} {literal}",
            f"{column} IS NOT NULL", f"{literal} IN {column}", f"{column} IN ({literal}, {literal})",
            f"{column} BETWEEN {literal} AND {literal}", f"{column} + {literal} > {column}", f"{column} / 0 > 1",
            f"LENGTH({column}) > {literal}", f"{column}", f"CAST({column} AS INT) > 3", f'"{column}" = {literal}',
            f"CASE WHEN {column} = {literal} THEN TRUE END", f"{column}[0] = {literal}", "", "(", "SELECT 1", "*",
        ])  # fmt: skip
    left, right = _filter(rng, facts, depth + 1), _filter(rng, facts, depth + 1)
    return rng.choice([f"({left}) AND ({right})", f"({left}) OR ({right})", f"NOT ({left})", f"{left} AND NOT {right}"])


@dataclass(frozen=True)
class Outcome:
    """What a call led to."""

    code: str
    seconds: float
    detail: str = ""


class Sender:
    """Sends bytes to an rpc, whatever they are."""

    def __init__(self, channel: grpc.Channel, timeout: float = 10.0) -> None:
        self._channel, self._timeout = channel, timeout
        self._calls: dict[str, Callable[..., Any]] = {}

    def __call__(self, method: MethodDescriptor, data: bytes) -> Outcome:
        """The outcome of one call with one message."""
        began = time.monotonic()
        code, detail = grpc.StatusCode.OK, ""
        try:
            call = self._call(method)
            answer = call(iter([data]) if method.client_streaming else data, timeout=self._timeout)
            if method.server_streaming:
                for _ in answer:
                    continue
        except grpc.RpcError as problem:
            code, detail = problem.code(), problem.details() or ""
        return Outcome(code.name, time.monotonic() - began, detail)

    def _call(self, method: MethodDescriptor) -> Callable[..., Any]:
        path = f"/{method.containing_service.full_name}/{method.name}"
        if path not in self._calls:
            sends, answers = (
                "stream" if many else "unary" for many in (method.client_streaming, method.server_streaming)
            )
            self._calls[path] = getattr(self._channel, f"{sends}_{answers}")(path)
        return self._calls[path]


def readable(method: MethodDescriptor, data: bytes) -> bool:
    """Whether bytes are a message of an rpc."""
    try:
        message_factory.GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return False
    return True


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def garbage_on_port(rng: random.Random, address: str, seconds: float = 1.0) -> None:
    """Open a connection, send what is no call, and leave or wait for the other side to."""
    host, _, port = address.rpartition(":")

    def noise(n: int) -> bytes:
        return bytes(rng.getrandbits(8) for _ in range(n))

    def frame(kind: int, payload: bytes, stream: int = 0, length: int | None = None) -> bytes:
        size = len(payload) if length is None else length
        return struct.pack(">I", size)[1:] + bytes([kind, rng.getrandbits(8)]) + struct.pack(">I", stream) + payload

    sent: bytes = rng.choice([
        noise(200), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" + noise(512),
        PREFACE + noise(300), PREFACE[: rng.randrange(len(PREFACE))],
        PREFACE + frame(4, b"") + frame(rng.randrange(16), noise(40), rng.randrange(2**31)),
        PREFACE + frame(4, b"") + frame(1, noise(60), 1), PREFACE + frame(4, noise(36)),
        PREFACE + frame(4, b"") + frame(0, noise(9), 1, 2**24 - 1), b"\0" * 4096,
        PREFACE + frame(4, b"") + frame(8, noise(4), 3) * 100, b"",
    ])  # fmt: skip
    with suppress(OSError), socket.create_connection((host, int(port)), seconds) as one:
        one.sendall(sent)
        if rng.random() < 0.5:
            one.settimeout(min(seconds, 0.05))
            with suppress(TimeoutError):
                while one.recv(4096):
                    continue
