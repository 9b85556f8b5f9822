"""The position of an id in a catalogue, without a Python object for each of a million ids.

The 64-bit hashes of the ids lie sorted in one array, their positions in another: 12 bytes an id,
shared by processes that are forked. An id is looked up by its hash, and the id found there is
compared, so two ids with the same hash are not confused. Recent look-ups are cached in a dict, since
requests often name the same popular items.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["LONGEST_ID", "IdIndex"]

LONGEST_ID = 256
"""Characters of an id."""

CHUNK = 1 << 16
"""How many ids are Python objects at a time, while they are hashed."""
MOST_MET = 50_000
"""Size of the cache of recent look-ups."""
MANY = 5_000
"""From this many ids on, they are looked up by a join."""


class IdIndex:
    """The positions of the first ids of a column that only ever grows at its end."""

    def __init__(self, ids: pl.Series) -> None:
        """Hash all of them: a million in less than a second."""
        hashes = np.empty(len(ids), np.int64)
        for start in range(0, len(ids), CHUNK):
            some = ids.slice(start, CHUNK).to_list()
            hashes[start : start + len(some)] = np.fromiter(map(hash, some), np.int64, len(some))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        self._hashes = hashes[order].data
        self._order = order.data
        self._added: dict[str, int] = {}
        self._met: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._order) + len(self._added)

    def followed(self, ids: pl.Series) -> IdIndex:
        """An index of a column that begins with this one's ids; the cost is proportional to the new ids.

        Where there are many new ids, all are hashed again.
        """
        added = len(ids) - len(self._order)
        if added > max(CHUNK, len(self._order) // 4):
            return IdIndex(ids)
        new = object.__new__(IdIndex)
        new._hashes, new._order = self._hashes, self._order
        behind = ids.slice(len(self)).to_list()
        new._added = self._added | {name: at for at, name in enumerate(behind, len(self))}
        new._met = self._met.copy()  # not shared: the index of the shorter column must not contain later ids
        return new

    def position(self, name: str, ids: pl.Series) -> int:
        """The position of an id in the column, or -1."""
        met = self._met.get(name)
        if met is not None:
            return met
        found = self._found(name, ids)
        if found >= 0:
            if len(self._met) >= MOST_MET:
                self._met.clear()
            self._met[name] = found
        return found

    def _found(self, name: str, ids: pl.Series) -> int:
        hashes = self._hashes
        wanted = hash(name)
        at = bisect_left(hashes, wanted)
        while at < len(hashes) and hashes[at] == wanted:
            if ids[found := self._order[at]] == name:
                return found
            at += 1
        return self._added.get(name, -1)

    def positions(self, names: Sequence[str], ids: pl.Series) -> npt.NDArray[np.int32]:
        """int32[n]: the positions of ids in the column, -1 where unknown."""
        if len(names) < MANY:
            return np.fromiter((self.position(name, ids) for name in names), np.int32, len(names))
        there = pl.DataFrame({"id": ids, "at": pl.int_range(len(ids), dtype=pl.Int32, eager=True)})
        wanted = pl.DataFrame({"id": names}, schema={"id": pl.String})
        found = wanted.join(there, on="id", how="left", maintain_order="left")["at"]
        return found.fill_null(-1).to_numpy()
