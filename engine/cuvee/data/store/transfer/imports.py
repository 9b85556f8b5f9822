"""Import of Parquet files into the store, in batches, each committed together with the progress so far.

An interrupted import continues after the last committed batch. Reading the same file again stores nothing
twice, since events are identified by their ids.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl
from sqlalchemy import Connection, delete, select

from cuvee.data.files.raw import LINE, Part, Rows
from cuvee.data.files.report import EXAMPLES, Dropped
from cuvee.data.store.database import Database
from cuvee.data.store.events import insert_into
from cuvee.data.store.tables import IMPORTS
from cuvee.errors import DataError

__all__ = ["Batch", "Imported", "Stored", "digest_of", "finish", "import_file"]


@dataclass
class Imported:
    """The result for the rows of one part."""

    part: Part
    read: int = 0
    new: int = 0
    """Events, items or users that were not there before."""
    kept: int = 0
    """Rows that could be used."""
    before: int = 0
    """Rows that an earlier, interrupted import has read; they are not in the other counts."""
    of_unknown: int = 0
    """Stored events of items that are not in the catalogue: they count once the item is added."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Those items, with how many events each has, in the order of first mention."""
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def refuse(self, malformed: pl.DataFrame) -> None:
        """Count unusable rows: columns file, line and reason."""
        for file, line, reason in malformed.select("file", "line", "reason").iter_rows():
            # a row's own values are in quotes
            kind, _, rest = reason.partition(" '")
            if rest:
                kind += " " + rest.rpartition("' ")[2]
            self.reasons[kind] += 1
            places = self.places.setdefault(kind, [])
            if len(places) < EXAMPLES:
                places.append(f"{file}:{line}" + (f": {reason}" if rest else ""))

    def miss(self, unknown: pl.Series) -> None:
        """Count events of unknown items, by the items' ids."""
        self.of_unknown += len(unknown)
        for item_id, count in unknown.value_counts(sort=True).iter_rows():
            self.unknown[item_id] = self.unknown.get(item_id, 0) + count

    @property
    def dropped_count(self) -> int:
        """Rows that could not be used."""
        return self.reasons.total()

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """By reason, the most frequent first."""
        return tuple(
            Dropped(self.part, reason, count, tuple(self.places[reason]))
            for reason, count in self.reasons.most_common()
        )


class Stored(NamedTuple):
    """The result for one batch of a file's rows."""

    new: int
    """Rows that were not there before."""
    used: int
    """Rows that could be used."""
    malformed: pl.DataFrame
    """The others: columns file, line, reason."""
    unknown: pl.Series = pl.Series(dtype=pl.String)
    """The ids of unknown items in used events, one for each event."""


class Batch(Protocol):
    """Stores one batch of a file's rows."""

    def __call__(self, connection: Connection, rows: Rows) -> Stored:
        """Called in a transaction, and again in another one if the first could not be committed."""


def digest_of(file: Path, *how: str) -> str:
    """sha256 of a file's content and of how it is read."""
    with file.open("rb") as data:
        found = hashlib.file_digest(data, "sha256")
    found.update("\0".join(how).encode())
    return found.hexdigest()


def import_file(
    database: Database,
    product: str,
    file: Path,
    digest: str,
    store: Batch,
    into: Imported,
    told: Callable[[int, int], None],
    *,
    size: int,
    strict: bool = False,
) -> None:
    """Store a file's rows, ``size`` at a time, from where an earlier import of it ended.

    Raises:
        DataError: it is no Parquet file, lacks columns, or with ``strict`` has an unusable row; then nothing
            of its batch is stored.
        UnavailableError: the database cannot be reached; committed batches stay, and the next import continues.
    """
    try:
        table = pl.scan_parquet(file)
        total = table.select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise DataError(f"{file} cannot be read as Parquet: {problem}") from problem
    done = database.read(lambda connection: _come(connection, product, digest))
    into.before += done
    told(done, total)
    while done < total:
        frame = table.slice(done, size).collect().with_row_index(LINE, offset=done + 1)
        rows = Rows.of(into.part, file, frame)
        end = min(done + size, total)

        def write(connection: Connection, rows: Rows = rows, end: int = end) -> Stored:
            found = store(connection, rows)
            if strict and len(found.malformed):
                first = found.malformed.sort("line").row(0, named=True)
                raise DataError(
                    f"{first['file']}:{first['line']}: {first['reason']}; what came before its batch is stored"
                )
            _note(connection, product, digest, end)
            return found

        stored = database.write(write)
        into.read += end - done
        into.new += stored.new
        into.kept += stored.used
        into.refuse(stored.malformed)
        into.miss(stored.unknown)
        done = end
        told(done, total)


def _come(connection: Connection, product: str, digest: str) -> int:
    query = select(IMPORTS.c.rows).where(IMPORTS.c.product == product, IMPORTS.c.digest == digest)
    return connection.execute(query).scalar() or 0


def _note(connection: Connection, product: str, digest: str, rows: int) -> None:
    insert = insert_into(connection, IMPORTS)
    upsert = insert.on_conflict_do_update(
        index_elements=[IMPORTS.c.product, IMPORTS.c.digest], set_={"rows": insert.excluded.rows}
    )
    connection.execute(upsert, {"product": product, "digest": digest, "rows": rows})


def finish(database: Database, product: str, digests: Sequence[str]) -> None:
    """Forget the progress of files that are completely stored: the next import reads them from the beginning."""
    these = delete(IMPORTS).where(IMPORTS.c.product == product, IMPORTS.c.digest.in_(digests))
    database.write(lambda connection: connection.execute(these))
