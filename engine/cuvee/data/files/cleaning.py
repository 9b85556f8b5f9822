"""From raw rows to a dataset: what is dropped, what is normalised, and the report of it.

Pure: frames in, a :class:`~cuvee.data.dataset.Dataset` and a :class:`~cuvee.data.files.report.Report` out.
Rows are dropped for these reasons, in this order: malformed; no id; an impossible time, value, weight
or order; an unknown item or user (optional); the same event twice; a repeated event (optional); a user
or item with too few events. The first reason that applies is the one that is reported.
"""

from __future__ import annotations

import enum
import time as time_of_day
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Chronology, Dataset
from cuvee.data.files.columns.ids import meeting
from cuvee.data.files.entities import Merged, merge
from cuvee.data.files.raw import Part, RawData
from cuvee.data.files.report import Dropped, Report, Tally, dropped
from cuvee.data.store.rows import SKEW
from cuvee.errors import DataError

__all__ = ["CleanOptions", "Feedback", "Repeats", "Unknown", "clean"]

LATEST = 1e11
"""The year 5138 in seconds since 1970: a larger number must count a unit shorter than seconds."""
LIGHTEST, HEAVIEST = 1e-12, 1e12
"""Weights beyond these could not be squared and summed in float32."""
NO_TIMES = (
    "these events have no times, and the order of the rows is not taken for one: what follows what, recency, trends "
    "and protocols by time mean nothing here. Say --map time=COLUMN, or --map order=COLUMN for one that tells what "
    "came first"
)
NO_SECONDS = (
    "these events have an order and no times: recency in days, trends and the protocol global-time mean nothing here; "
    "say --map time=COLUMN if there is one"
)


FUTURE = f"time is in the future, by over {SKEW // 60_000_000} minutes"


class Feedback(enum.StrEnum):
    """What an interaction means."""

    AUTO = "auto"
    """Explicit where a threshold is given, implicit otherwise."""
    IMPLICIT = "implicit"
    """Every event counts as a like: weight 1, or the weight column."""
    EXPLICIT = "explicit"
    """The value decides: weight 1 (or the weight column) from the threshold on, 0 below it ("seen, not liked")."""


class Repeats(enum.StrEnum):
    """How several events of a user with the same item are handled."""

    KEEP = "keep"
    LAST = "last"


class Unknown(enum.StrEnum):
    """How items and users are handled that only interactions name and no file describes."""

    ADD = "add"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """How to clean; the defaults lose no event that can be used."""

    feedback: Feedback = Feedback.AUTO
    positive_from: float | None = None
    """The least value that counts as liked, for explicit feedback."""
    repeats: Repeats = Repeats.KEEP
    unknown: Unknown = Unknown.ADD
    min_user_events: int = 0
    min_item_events: int = 0
    """Both limits are applied repeatedly until neither drops another row."""
    now: float | None = None
    """Seconds since 1970; events more than a few minutes later are dropped. None: the clock's time."""
    strict: bool = False
    """Whether a row that cannot be used is an error instead of a line in the report."""

    @property
    def explicit(self) -> bool:
        """Whether values decide."""
        return self.feedback is Feedback.EXPLICIT or (self.feedback is Feedback.AUTO and self.positive_from is not None)


class _Sieve:
    """The remaining interactions, and a record of the dropped ones."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows
        self.dropped: list[Dropped] = []
        self.warnings: list[str] = []

    def warn(self, warning: str | None) -> None:
        """Add a warning to the report; None adds nothing."""
        if warning is not None:
            self.warnings.append(warning)

    def drop(self, mask: pl.Series, reason: str, *, strict: bool = False, shown: pl.Expr | None = None) -> None:
        """Drop the rows where the mask is true; those that were there before the import are not counted.

        ``shown`` is, for each row, a text about the mistake, reported beside the row's place.
        """
        if not mask.any():
            return
        fallen = self.rows.filter(mask)
        self.rows = self.rows.filter(~mask)
        if "old" in fallen.columns:
            fallen = fallen.filter(~pl.col("old"))
        if not len(fallen):
            return
        fallen = fallen.sort("at")
        found = dropped(Part.INTERACTIONS, reason, fallen if shown is None else fallen.with_columns(reason=shown))
        if strict:
            raise DataError(f"{found.examples[0]}: {reason}")
        self.dropped.append(found)


def _faults(columns: list[str], options: CleanOptions) -> list[tuple[str, pl.Expr]]:
    """The reasons that make a row unusable: (reason, mask expression)."""
    value, time, weight, order = (pl.col(name) for name in ("value", "time", "weight", "order"))
    faults = [(f"no {who}", pl.col(who).is_null() | (pl.col(who) == "")) for who in ("user", "item")]
    if "time" in columns:
        if "order" not in columns:
            faults.append(("no time (--map order=COLUMN would place such rows)", time.is_null()))
        faults.append(("impossible time", time.is_nan() | time.is_infinite() | (time < 0)))
        for unit, word, factor in (("ns", "nano", 1e6), ("us", "micro", 1e3), ("ms", "milli", 1)):
            beyond = time > LATEST * factor
            faults.append((f"time after the year 5000 (is it in {word}seconds? --time-unit {unit})", beyond))
        now = time_of_day.time() if options.now is None else options.now
        late = time > now + SKEW / 1e6
        faults.append((FUTURE, late))
    if "order" in columns:
        faults.append(("no order", order.is_null() | ~order.is_finite()))
    if "value" in columns:
        faults.append(("value is not finite", ~value.is_finite()))
        if options.explicit:
            faults.append(("no value", value.is_null()))
    if "weight" in columns:
        faults.append(("weight is not a number from 0 on", weight.is_null() | ~weight.is_finite() | (weight < 0)))
        beyond = (weight > HEAVIEST) | ((weight > 0) & (weight < LIGHTEST))
        faults.append((f"weight is neither 0 nor from {LIGHTEST:g} to {HEAVIEST:g}", beyond))
    return faults


def _weights(columns: list[str], options: CleanOptions) -> pl.Expr:
    """Float32: the weight of each event for its item."""
    weight = pl.col("weight") if "weight" in columns else pl.lit(1.0)
    if options.explicit:
        if options.positive_from is None:
            raise DataError("explicit feedback needs a threshold: say --positive-from VALUE, such as 4 out of 5 stars")
        if "value" not in columns:
            raise DataError("explicit feedback needs values: say --map value=COLUMN, or --feedback implicit")
        weight = pl.when(pl.col("value") >= options.positive_from).then(weight).otherwise(0.0)
    return weight.cast(pl.Float32).alias("weight")


def _chronology(columns: list[str], rows: pl.DataFrame, into: Dataset | None) -> Chronology:
    """Whether the interactions have times, an order, or neither.

    Raises:
        DataError: the dataset to add to has something else.
    """
    found = (
        Chronology.TIMES if "time" in columns else Chronology.ORDER if "order" in columns else Chronology.NONE
    )  # fmt: skip
    if into is None or not len(into):
        return found if len(rows) else Chronology.TIMES
    if len(rows) and found is not into.chronology:
        have = {Chronology.TIMES: "times", Chronology.ORDER: "an order and no times", Chronology.NONE: "no times"}
        raise DataError(
            f"the events of the dataset have {have[into.chronology]}, and these have {have[found]}: together they "
            "would have a wrong order. Say --map time=COLUMN, or import all anew with --replace, or elsewhere"
        )
    return into.chronology


def _timed(rows: pl.DataFrame) -> pl.DataFrame:
    """Give each row a time: its own, else its neighbour's by ``order``, else the order itself, else 0."""
    if "time" in rows.columns:
        if "order" not in rows.columns or not rows["time"].null_count():
            return rows
        time = pl.col("time")
        near = time.forward_fill().over("user", order_by=["order", "at"])
        return rows.sort("order", "at").with_columns(
            pl.coalesce(near, time.backward_fill().over("user")).fill_null(time.min()).fill_null(0.0)
        )
    return rows.with_columns((pl.col("order") if "order" in rows.columns else pl.lit(0.0)).alias("time"))


def _before(dataset: Dataset | None) -> pl.DataFrame:
    """The events of a dataset, as rows that were there before."""
    schema = {"user": pl.Int32, "item": pl.Int32, "time": pl.Float64, "weight": pl.Float32}
    if dataset is None:
        return pl.DataFrame(schema=schema)
    events = dataset.events
    return pl.DataFrame(
        {"user": dataset.users, "item": events.items, "time": events.times, "weight": events.weights}, schema=schema
    )


def _frequent(rows: pl.DataFrame, n_users: int, n_items: int, options: CleanOptions) -> dict[str, np.ndarray]:
    """Masks of the rows whose user, and whose item, has enough events once no more rows are dropped."""
    users, items, old = (rows[name].to_numpy() for name in ("user", "item", "old"))
    alive = np.ones(len(rows), np.bool_)
    few = {"user": np.zeros(len(rows), np.bool_), "item": np.zeros(len(rows), np.bool_)}
    while True:
        before = int(alive.sum())
        for who, ids, n, least in (
            ("user", users, n_users, options.min_user_events),
            ("item", items, n_items, options.min_item_events),
        ):
            fallen = alive & ~old & (np.bincount(ids[alive], minlength=n) < least)[ids]
            few[who] |= fallen
            alive &= ~fallen
        if int(alive.sum()) == before:
            return few


def _coded(sieve: _Sieve, raw: RawData, there: Catalog, options: CleanOptions) -> tuple[Merged, Merged]:
    """Replace ids by provisional positions: those of the catalogue first, then new ones by appearance."""
    merged = []
    for who, given, old in (("item", raw.items, there.items), ("user", raw.users, there.users)):
        part = Part.ITEMS if who == "item" else Part.USERS
        known = merge(part, old, given, strict=options.strict)
        if given is not None:
            sieve.warn(meeting(str(who), sieve.rows[who].unique(maintain_order=True), known.entities.frame["id"]))
        if options.unknown is Unknown.DROP and len(known.entities):
            outside = ~sieve.rows[who].is_in(known.entities.frame["id"].implode())
            sieve.drop(outside, f"unknown {who}")
        ids = pl.concat([known.entities.frame["id"], sieve.rows[who]]).unique(maintain_order=True)
        codes = pl.DataFrame({who: ids, "code": np.arange(len(ids), dtype=np.int32)})
        sieve.rows = sieve.rows.join(codes, on=who, how="left", maintain_order="left").drop(who).rename({"code": who})
        merged.append(known.naming(ids))
    return merged[0], merged[1]


def _compact(rows: pl.DataFrame, who: str, known: Merged) -> tuple[pl.DataFrame, Entities, int]:
    """Append to a catalogue the new ids that are still in use; true positions instead of provisional ones."""
    n = len(known.entities)
    new = rows[who].filter(rows[who] >= n).unique().sort()
    if not len(new):
        return rows, known.entities, 0
    places = np.arange(len(known.ids), dtype=np.int32)
    places[new.to_numpy()] = n + np.arange(len(new), dtype=np.int32)
    rows = rows.with_columns(pl.Series(who, places[rows[who].to_numpy()]))
    return rows, known.entities.upsert(pl.DataFrame({"id": known.ids.gather(new)})), len(new)


def clean(raw: RawData, options: CleanOptions | None = None, into: Dataset | None = None) -> tuple[Dataset, Report]:
    """Clean raw data into a dataset, or into one that exists.

    Events of one user are ordered by time, then the order column, then their place in the files.
    Two events are the same when user, item and time are (where there are no times: user, item and
    order); the later row counts. A row without a time takes that of its predecessor in the order
    column, and is dropped where there is no such column. Without any times the order column stands for
    them. Without either, the order is unknown: a user's events are then put into an arbitrary order, which is
    the same whatever the order of the rows, and the dataset's ``chronology`` records that.

    Parameters:
        raw: what the readers gave.
        options: how to clean.
        into: a dataset to add to. Positions keep their meaning: new items and users come last,
            known ones are updated where the new value is not null. Events that were there are
            replaced by the same ones read anew, and never dropped for being too few.

    Raises:
        DataError: the options ask for a column that is not there, or ``strict`` met an unusable row.
    """
    chosen = options or CleanOptions()
    there = into.catalog if into is not None else Catalog(Entities.of_ids([]), Entities.of_ids([]))
    sieve = _Sieve(raw.interactions.with_row_index("at"))
    columns = raw.interactions.columns
    weights = _weights(columns, chosen) if len(raw.interactions) else pl.lit(1.0, pl.Float32).alias("weight")
    for reason, fault in _faults(columns, chosen):
        shown = pl.from_epoch((pl.col("time") * 1e6).cast(pl.Int64), "us").dt.to_string("%Y-%m-%d %H:%M:%S UTC")
        sieve.drop(
            sieve.rows.select(fault.fill_null(value=False).alias("bad"))["bad"],
            reason,
            strict=chosen.strict,
            shown=shown if reason == FUTURE else None,
        )
    chronology = _chronology(columns, sieve.rows, into)
    if len(sieve.rows):
        sieve.warn({Chronology.NONE: NO_TIMES, Chronology.ORDER: NO_SECONDS}.get(chronology))
    items, users = _coded(sieve, raw, there, chosen)

    old = _before(into).with_columns(old=pl.lit(value=True))
    new = _timed(sieve.rows).with_columns(weights, old=pl.lit(value=False))
    by = ["time", "order", "at"] if "order" in columns else ["time", "at"]
    new = new.sort(by).with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64))
    # old events come first among equal times, in the order that they have
    sieve.rows = pl.concat([old.with_columns(place=pl.int_range(-len(old), 0, dtype=pl.Int64)), new], how="diagonal")
    untimed = chronology is Chronology.NONE
    _drop_repeats(sieve, ["user", "item"] if untimed else ["user", "item", "time"], "the same event again")
    if chosen.repeats is Repeats.LAST:
        _drop_repeats(sieve, ["user", "item"], "an earlier event with the same item")
    replaced = len(old) - int(sieve.rows["old"].sum())

    if chosen.min_user_events > 0 or chosen.min_item_events > 0:
        few = _frequent(sieve.rows, len(users.ids), len(items.ids), chosen)
        marked = sieve.rows.with_columns(few_user=few["user"], few_item=few["item"])
        sieve.rows = marked
        sieve.drop(marked["few_user"], f"user with fewer than {chosen.min_user_events} events")
        sieve.drop(sieve.rows["few_item"], f"item with fewer than {chosen.min_item_events} events")

    rows, all_items, bare_items = _compact(sieve.rows, "item", items)
    rows, all_users, bare_users = _compact(rows, "user", users)
    rows = _by_chance(rows, all_users, all_items) if untimed else rows.sort("time", "place")
    dataset = Dataset.build(
        Catalog(all_items, all_users),
        rows["user"].to_numpy(),
        rows["item"].to_numpy(),
        rows["time"].to_numpy(),
        rows["weight"].to_numpy(),
        chronology,
    )
    return dataset, _report(raw, sieve, dataset, (items, bare_items), (users, bare_users), replaced)


def _by_chance(rows: pl.DataFrame, users: Entities, items: Entities) -> pl.DataFrame:
    """Events without a known order, in an order that depends only on their ids and not on the file's rows."""
    ids = [entities.frame["id"].gather(rows[who]) for who, entities in (("user", users), ("item", items))]
    chance = pl.DataFrame(ids[:1]).with_columns(ids[1].alias("item")).select(
        pl.concat_str("id", "item", separator="\0").hash(0).alias("chance")
    )  # fmt: skip
    return rows.with_columns(chance.to_series()).sort("chance", "place").drop("chance")


def _drop_repeats(sieve: _Sieve, keys: list[str], reason: str) -> None:
    """Keep the last of the rows that agree in the keys."""
    if sieve.rows.select(pl.struct(keys).n_unique()).item() == len(sieve.rows):
        return
    sieve.rows = sieve.rows.sort("time", "place")
    # an earlier row is only replaced by a newly read one
    stays = pl.col("old") & pl.col("old").last().over(keys)
    sieve.drop(sieve.rows.select(~pl.struct(keys).is_last_distinct() & ~stays).to_series(), reason)


def _report(
    raw: RawData, sieve: _Sieve, dataset: Dataset, items: tuple[Merged, int], users: tuple[Merged, int], replaced: int
) -> Report:
    broken = {part: raw.malformed.filter(pl.col("part") == str(part)) for part in Part}
    malformed = [dropped(part, "malformed", rows) for part, rows in broken.items() if len(rows)]
    kept = int((~sieve.rows["old"]).sum())
    tally: Callable[[Part, Merged, int], Tally] = lambda part, merged, bare: Tally(  # noqa: E731 (twice the same)
        part, merged.read + len(broken[part]), merged.kept, merged.added + bare, merged.updated, bare
    )
    return Report(
        Tally(
            Part.INTERACTIONS,
            len(raw.interactions) + len(broken[Part.INTERACTIONS]),
            kept,
            kept - min(kept, replaced),
            min(kept, replaced),
        ),
        tally(Part.ITEMS, *items),
        tally(Part.USERS, *users),
        (*malformed, *items[0].dropped, *users[0].dropped, *sieve.dropped),
        len(dataset),
        dataset.n_items,
        dataset.n_users,
        raw.notes,
        tuple(sieve.warnings),
    )
