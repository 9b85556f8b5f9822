"""The report of an import: how many rows were read and kept, and why the others were dropped."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cuvee.data.files.raw import Part

__all__ = ["Dropped", "Report", "Tally", "dropped"]

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows left out for one reason."""

    part: Part
    reason: str
    count: int
    examples: tuple[str, ...]
    """The first few, as ``file:line``; a malformed row also says what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of one part: ``read == kept + the dropped ones of this part``."""

    part: Part
    read: int
    kept: int
    added: int
    """Events, items or users that were not there before; ids without a row of their own count too."""
    updated: int
    """Those that were there before and were replaced."""
    bare: int = 0
    """Ids that only interactions name, added without any column."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say about one import."""

    interactions: Tally
    items: Tally
    users: Tally
    dropped: tuple[Dropped, ...]
    """In the order of the checks."""
    n_events: int
    """In the dataset now, as are the next two."""
    n_items: int
    n_users: int
    notes: tuple[str, ...] = ()
    """Notes on how columns and values were interpreted."""
    warnings: tuple[str, ...] = ()
    """Warnings about what is probably a mistake."""

    @property
    def tallies(self) -> tuple[Tally, Tally, Tally]:
        """The three, in the order of :class:`~cuvee.data.files.raw.Part`."""
        return self.interactions, self.items, self.users

    def count(self, reason: str, part: Part = Part.INTERACTIONS) -> int:
        """How many rows were dropped for a reason."""
        return sum(d.count for d in self.dropped if d.reason == reason and d.part is part)


def dropped(part: Part, reason: str, rows: pl.DataFrame) -> Dropped:
    """A reason with its count and first places, from a frame with columns file and line (and reason)."""
    first = rows.select("file", "line", *(["reason"] if "reason" in rows.columns else [])).head(EXAMPLES)
    examples = tuple(f"{row[0]}:{row[1]}" + (f": {row[2]}" if len(row) > 2 else "") for row in first.iter_rows())
    return Dropped(part, reason, len(rows), examples)
