"""The tables of items that were sent, by their keys."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import polars as pl
from cuvee import Entities, Role
from cuvee.v1 import recommender_pb2 as pb

from cuvee_remote.server.refusals import bad_request, not_open

__all__ = ["Catalogues", "entities_of"]

KEPT = 16
"""Tables that are kept, the ones used last; servers of several products and replicas may ask about one each."""


def entities_of(ids: list[str], columns: bytes, roles: Mapping[str, str]) -> Entities:
    """Entities with these ids, and the columns of an Arrow IPC stream.

    Raises:
        Refused: ids and columns do not belong together.
    """
    if not columns:
        return Entities.of_ids(ids)
    try:
        frame = pl.read_ipc_stream(io.BytesIO(columns))
        frame = frame.insert_column(0, pl.Series("id", ids, pl.String))
        return Entities(frame, {name: Role(role) for name, role in roles.items()})
    except Exception as problem:
        raise bad_request(f"the columns cannot be read: {problem}") from problem


class Catalogues:
    """From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Entities] = OrderedDict()

    def get(self, key: str) -> Entities:
        """The table with a key.

        Raises:
            Refused: FAILED_PRECONDITION, it is not open.
        """
        with self._lock:
            found = self._open.get(key)
            if found is None:
                raise not_open(key)
            self._open.move_to_end(key)
            return found

    def open(self, requests: Iterable[pb.OpenCatalogueRequest]) -> int:
        """Take a table; the number of its rows.

        Raises:
            Refused: it continues one that is not open, or is not whole.
        """
        key, ids, columns, roles, size = "", list[str](), bytearray(), dict[str, str](), -1
        for at, request in enumerate(requests):
            if not at:
                key = request.catalogue
                ids = self.get(request.extends).column_ids.to_list() if request.extends else []
            ids.extend(request.item_ids)
            columns += request.columns
            roles.update(request.roles)
            size = request.size if request.HasField("size") else size
        if size != len(ids) or not key:
            raise bad_request(f"the table has {len(ids)} ids, and was said to have {size}")
        found = entities_of(ids, bytes(columns), roles)
        with self._lock:
            self._open[key] = found
            self._open.move_to_end(key)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
        return size
