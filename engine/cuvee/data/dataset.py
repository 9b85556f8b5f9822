"""A dataset: a catalogue and its users' events, sorted by user and time.

The one type that ``fit`` learns from, that evaluation splits, and that the server reads histories from.
"""

from __future__ import annotations

import enum
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from cuvee.data.catalog import Catalog, readable
from cuvee.errors import DataError
from cuvee.queries import Floats, Histories

__all__ = ["Chronology", "Dataset"]


class Chronology(enum.StrEnum):
    """What is known of when things happened."""

    TIMES = "times"
    """Each event has its time."""
    ORDER = "order"
    """The order is known; the times are ordinal numbers, not seconds."""
    NONE = "none"
    """Neither order nor times are known: all times are 0, and the order of a user's events has no meaning."""


COLUMNS = {Chronology.TIMES: "time", Chronology.ORDER: "order"}
"""The column of ``events.arrow`` with the times or the order; None where neither is known."""


@dataclass(frozen=True)
class Dataset:
    """A catalogue, and per user the events, oldest first (equal times keep the file's order)."""

    catalog: Catalog
    events: Histories
    """U rows, U being the number of users of the catalogue."""
    chronology: Chronology = Chronology.TIMES
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    """Item vectors of other recommenders, float32[N, d] by name: those that a recommender's config
    asks for by ``needs_vectors_of``. Only in ``fit``; never saved."""

    @classmethod
    def build(
        cls,
        catalog: Catalog,
        users: npt.ArrayLike,
        items: npt.ArrayLike,
        times: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        chronology: Chronology = Chronology.TIMES,
    ) -> Dataset:
        """Build from events in any order: int positions[n] of users and items, seconds, weights.

        Sorted by user, then time; the sort is stable. Times default to the order given, weights to 1.

        Raises:
            DataError: an event names a user or item outside the catalogue, or its time or weight
                is not finite.
        """
        user = np.asarray(users, np.int32)
        item = np.asarray(items, np.int32)
        time = np.arange(len(user), dtype=np.float64) if times is None else np.asarray(times, np.float64)
        weight = np.ones(len(user), np.float32) if weights is None else np.asarray(weights, np.float32)
        n_users, n_items = len(catalog.users), len(catalog.items)
        for name, values, limit in (("user", user, n_users), ("item", item, n_items)):
            if len(values) and (values.min() < 0 or values.max() >= limit):
                raise DataError(f"an event names a {name} outside the catalogue of {limit}")
        if not (np.isfinite(time).all() and np.isfinite(weight).all()):
            raise DataError("an event has no finite time or weight; `cuvee import` drops such rows and says so")
        order = np.lexsort((time, user))
        offsets = np.zeros(n_users + 1, np.int64)
        np.cumsum(np.bincount(user, minlength=n_users), out=offsets[1:])
        return cls(catalog, Histories(offsets, item[order], weight[order], time[order]), chronology)

    def __len__(self) -> int:
        return len(self.events.items)

    @property
    def n_users(self) -> int:
        """Users in the catalogue."""
        return len(self.catalog.users)

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return len(self.catalog.items)

    @property
    def users(self) -> npt.NDArray[np.int32]:
        """int32[n]: the user of each event."""
        return self.events.rows.astype(np.int32)

    def histories(self, users: npt.ArrayLike) -> Histories:
        """The events of the given users; an unknown user (-1, or beyond the catalogue) has none."""
        wanted = np.asarray(users, np.int64)
        known = (wanted >= 0) & (wanted < len(self.events))
        if known.all():
            return self.events.select(wanted)
        found = self.events.select(wanted[known])
        lengths = np.zeros(len(wanted), np.int64)
        lengths[known] = found.lengths
        return replace(found, offsets=np.concatenate([[0], np.cumsum(lengths)]))

    def matrix(self, *, liked_only: bool = True) -> sparse.csr_array:
        """float32[U, N], sparse: 1 where a user has an event of weight above 0 (or any event)."""
        events = self.events if liked_only else replace(self.events, weights=np.ones_like(self.events.weights))
        found = events.matrix(self.n_items)
        found.data[:] = 1
        return found

    def where(self, kept: npt.NDArray[np.bool_]) -> Dataset:
        """The events marked in bool[n]; the catalogue stays whole, so positions stay valid."""
        counts = np.bincount(self.events.rows[kept], minlength=self.n_users)
        events = Histories(
            np.concatenate([[0], np.cumsum(counts)]),
            self.events.items[kept],
            self.events.weights[kept],
            self.events.times[kept],
        )
        return replace(self, events=events)

    def without_users(self, gone: npt.NDArray[np.bool_]) -> Dataset:
        """A copy without the users marked in bool[U] and their events; later users move up."""
        catalog = Catalog(self.catalog.items, self.catalog.users.without(gone))
        place = np.cumsum(~gone) - 1
        kept = ~gone[self.users]
        events = self.events
        return Dataset.build(
            catalog,
            place[self.users[kept]],
            events.items[kept],
            events.times[kept],
            events.weights[kept],
            self.chronology,
        )

    def with_catalog(self, catalog: Catalog) -> Dataset:
        """The same events over a catalogue that has grown at its end."""
        grown = len(catalog.users) - self.n_users
        offsets = np.concatenate([self.events.offsets, np.full(grown, self.events.offsets[-1])])
        return replace(self, catalog=catalog, events=replace(self.events, offsets=offsets))

    def placed(self, first: Catalog) -> Dataset:
        """The same events over another catalogue's positions; entities that it lacks are appended to it."""
        items, users = self.catalog.items, self.catalog.users
        if items.same(first.items) and users.same(first.users):
            return self  # unchanged where nothing was imported since the fit: joining a million items takes seconds
        catalog = Catalog(first.items.upsert(items.frame, items.roles), first.users.upsert(users.frame, users.roles))
        item = catalog.items.positions(items.frame["id"].to_list())
        user = catalog.users.positions(users.frame["id"].to_list())
        events = self.events
        return Dataset.build(
            catalog, user[self.users], item[events.items], events.times, events.weights, self.chronology
        )

    def save(self, directory: Path) -> None:
        """Write the dataset into a directory. An existing one is replaced as a whole, once all is written.

        A running process that has mapped the old files keeps seeing them unchanged.
        """
        aside, replaced = (directory.with_name(f".{directory.name}.{what}") for what in ("writing", "replaced"))
        for left_over in (aside, replaced):
            shutil.rmtree(left_over, ignore_errors=True)
        aside.mkdir(parents=True)
        self.catalog.save(aside)
        frame = pl.DataFrame({"user": self.users, "item": self.events.items, "weight": self.events.weights})
        if self.chronology in COLUMNS:
            frame = frame.with_columns(pl.Series(COLUMNS[self.chronology], self.events.times))
        frame.write_ipc(aside / "events.arrow", compression="uncompressed")
        Dataset.load(aside)  # an unreadable dataset must not replace a readable one
        if directory.exists():
            directory.rename(replaced)
        aside.rename(directory)
        shutil.rmtree(replaced, ignore_errors=True)

    @classmethod
    def load(cls, directory: Path) -> Dataset:
        """Read what :meth:`save` wrote, memory-mapped.

        Raises :class:`cuvee.errors.DataError` where there is none, or it cannot be read.
        """
        path = directory / "events.arrow"
        if not path.exists():
            raise DataError(f"{path} does not exist; run `cuvee import FILE --dataset {directory.name}` first")
        catalog = Catalog.load(directory)
        with readable(path):
            return cls._of(catalog, pl.read_ipc(path))

    @classmethod
    def _of(cls, catalog: Catalog, frame: pl.DataFrame) -> Dataset:
        counts = np.bincount(frame["user"].to_numpy(), minlength=len(catalog.users))
        if len(counts) > len(catalog.users):
            raise ValueError("it names users that are not in users.arrow")
        column: Callable[[str], npt.NDArray[np.generic]] = lambda name: frame[name].to_numpy()  # noqa: E731
        kind = next((k for k, name in COLUMNS.items() if name in frame.columns), Chronology.NONE)
        times = column(COLUMNS[kind]) if kind in COLUMNS else np.zeros(len(frame))
        return cls(
            catalog,
            Histories(
                np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                column("item").astype(np.int32, copy=False),
                column("weight").astype(np.float32, copy=False),
                times.astype(np.float64, copy=False),
            ),
            kind,
        )
