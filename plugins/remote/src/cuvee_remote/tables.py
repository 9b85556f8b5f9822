"""Tables of items and users as they are sent: their keys and their messages."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from cuvee import Entities
from cuvee.v1 import recommender_pb2 as pb

__all__ = ["Table", "pieces"]

IDS = 1 << 17
"""Bytes of ids in a message: so few that making one does not hold up the event loop."""
PIECE = 1 << 20
"""Bytes of columns in a message."""


def id_chunks(entities: Entities, first: int = 0) -> Iterator[list[str]]:
    """The ids from a row on, in chunks of about :data:`IDS` bytes."""
    ids = entities.column_ids.slice(first)
    ends = ids.str.len_bytes().cast(int).cum_sum().to_numpy()
    at = 0
    while at < len(ids):
        before = int(ends[at - 1]) if at else 0
        until = max(int(np.searchsorted(ends, before + IDS)), at + 1)
        yield ids.slice(at, until - at).to_list()
        at = until


def arrow_of(entities: Entities) -> bytes:
    """The columns without the ids, as an Arrow IPC stream; empty where there are none."""
    if not entities.roles:
        return b""
    to = io.BytesIO()
    entities.frame.drop("id").write_ipc_stream(to)
    return to.getvalue()


def pieces(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces for messages."""
    for at in range(0, len(data), PIECE):
        yield data[at : at + PIECE]


@dataclass(frozen=True)
class Table:
    """A table of items that the remote is to know."""

    items: Entities
    columns: bool
    """Whether the remote needs columns."""
    key: str = field(repr=False)
    """A digest of what is sent; of ids alone it is also that of a longer table's beginning."""

    @classmethod
    def of(cls, items: Entities, *, columns: bool) -> Self:
        """Of a catalogue's items. A million ids take some 30 ms."""
        key = items.digest()
        if columns:
            roles = sorted((name, str(role)) for name, role in items.roles.items())
            digest = hashlib.sha256(arrow_of(items))
            digest.update(f"{key} {roles}".encode())
            key = digest.hexdigest()
        return cls(items, columns, key)

    def __len__(self) -> int:
        return len(self.items)

    def begins_with(self, key: str, size: int) -> bool:
        """Whether a table that was sent before is the beginning of this one."""
        return not self.columns and size <= len(self) and self.items.digest(size) == key

    def messages(self, extends: tuple[str, int] | None = None) -> Iterator[pb.OpenCatalogueRequest]:
        """What is sent; with ``extends`` (key, rows) only what comes after the table that is there already."""
        key, first = extends or ("", 0)
        yield pb.OpenCatalogueRequest(catalogue=self.key, extends=key)
        for ids in id_chunks(self.items, first):
            yield pb.OpenCatalogueRequest(catalogue=self.key, item_ids=ids)
        roles = {name: str(role) for name, role in self.items.roles.items()}
        for piece in pieces(arrow_of(self.items)) if self.columns else ():
            yield pb.OpenCatalogueRequest(catalogue=self.key, columns=piece, roles=roles)
            roles = {}
        yield pb.OpenCatalogueRequest(catalogue=self.key, size=len(self))
