"""Items and users from files into a catalogue, which may have some already."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from cuvee.data.catalog import Entities
from cuvee.data.files.raw import Part, RawEntities
from cuvee.data.files.report import Dropped, dropped
from cuvee.errors import DataError

__all__ = ["Merged", "merge"]


@dataclass(frozen=True)
class Merged:
    """A catalogue after its file, and what happened to the file's rows."""

    entities: Entities
    read: int
    kept: int
    added: int
    updated: int
    dropped: tuple[Dropped, ...]
    ids: pl.Series
    """Those of the catalogue, followed by any that only interactions name."""

    def naming(self, ids: pl.Series) -> Merged:
        """The same, with ids that interactions name."""
        return replace(self, ids=ids)


def _aligned(part: Part, frame: pl.DataFrame, there: Entities) -> pl.DataFrame:
    """Columns in the types that the catalogue has them in."""
    for name in frame.columns:
        want = there.frame.schema.get(name)
        have = frame.schema[name]
        if want is None or want == have:
            continue
        if want.is_numeric() and have.is_numeric():
            # a catalogue of whole numbers may get a fraction; Entities.upsert finds the wider type
            continue
        try:
            frame = frame.with_columns(pl.col(name).cast(want))
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"the {part}' column {name!r} has type {want} in the dataset, and {have} in the file, "
                "which does not fit; give its role by --role, or import into a new dataset"
            ) from error
    return frame


def merge(part: Part, there: Entities, given: RawEntities | None, *, strict: bool = False) -> Merged:
    """Put a file's items or users into a catalogue.

    Known ids are updated where the new value is not null, new ones come last, in the file's order.
    Of rows with one id the last counts. Raises :class:`cuvee.errors.DataError` with ``strict``
    where a row has no id, and where a column's type does not fit the catalogue's.
    """
    if given is None:
        return Merged(there, 0, 0, 0, 0, (), there.frame["id"])
    fell: list[Dropped] = []
    frame, places = given.frame, given.places
    nameless = frame.select(pl.col("id").is_null() | (pl.col("id") == "")).to_series()
    if nameless.any():
        fell.append(dropped(part, "no id", places.filter(nameless)))
        if strict:
            raise DataError(f"{fell[0].examples[0]}: no id")
        frame, places = frame.filter(~nameless), places.filter(~nameless)
    earlier = ~frame["id"].is_last_distinct()
    if earlier.any():
        fell.append(dropped(part, "the same id again", places.filter(earlier)))
        frame = frame.filter(~earlier)
    known = int(frame["id"].is_in(there.frame["id"].implode()).sum())
    if len(there):
        entities = there.upsert(_aligned(part, frame, there), given.roles)
    else:
        entities = Entities.of(frame, given.roles)
    return Merged(entities, len(given.frame), len(frame), len(frame) - known, known, tuple(fell), entities.frame["id"])
