"""Requests with text that is not UTF-8: half of a surrogate pair, a cut character, another encoding.

A message with such a text cannot be parsed at all, so one bad event would cost a batch of a thousand.
Here the same bytes are parsed with ``bytes`` in place of every ``string``. Invalid text is replaced by
the character NUL, which the check of each field refuses, naming the field.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError, Message

__all__ = ["mended"]


def _in_bytes(kind: DescriptorProto) -> None:
    for field in kind.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    kind.options.map_entry = False  # a map's keys cannot be bytes; on the wire it is a list of entries
    for inside in kind.nested_type:
        _in_bytes(inside)


def _add(file: FileDescriptor, pool: Any, added: set[str]) -> None:
    """A file and what it imports."""
    if file.name in added:
        return
    added.add(file.name)
    for other in file.dependencies:
        _add(other, pool, added)
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for kind in copy.message_type:
        _in_bytes(kind)
    pool.Add(copy)


@cache
def _twin(kind: Descriptor) -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    _add(kind.file, pool, set())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(kind.full_name))


def _mend(message: Message) -> None:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES:
            if field.is_repeated:
                value[:] = [_text(one) for one in value]
            else:
                setattr(message, field.name, _text(value))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inside in value if field.is_repeated else [value]:
                _mend(inside)


def _text(value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError:
        return b"\0"
    return value


def mended(kind: Descriptor, data: bytes) -> bytes | None:
    """The request with invalid texts replaced by NUL; None where the bytes are not such a message at all."""
    twin = _twin(kind)()
    try:
        twin.MergeFromString(data)
    except DecodeError:
        return None
    _mend(twin)
    return twin.SerializeToString()
