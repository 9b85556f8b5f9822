"""What holds for every input: of cleaning, of catalogues that grow, and of datasets that are cut."""

import math

import numpy as np
import polars as pl
from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.data.dataset import Dataset
from cuvee.data.files.cleaning import CleanOptions, Repeats, clean
from cuvee.data.files.raw import RawData
from hypothesis import given
from hypothesis import strategies as st

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
BAD = st.sampled_from([None, math.nan, math.inf, -math.inf, -1.0, 1e13])
ROW = st.tuples(st.one_of(IDS, st.sampled_from(["", None])), IDS, st.one_of(st.integers(0, 6).map(float), BAD))
ROWS = st.lists(ROW, max_size=30)
VALID = st.lists(st.tuples(IDS, IDS, st.integers(0, 6).map(float)), max_size=30)
OPTIONS = st.builds(
    CleanOptions,
    repeats=st.sampled_from(Repeats),
    min_user_events=st.integers(0, 3),
    min_item_events=st.integers(0, 3),
)

Event = tuple[str, str, float]


def raw_of(rows: list[tuple[str | None, str, float | None]] | list[Event]) -> RawData:
    frame = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String, "time": pl.Float64}, orient="row")
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("line")
    return RawData(interactions=frame.with_columns(pl.lit("f").alias("file"), lines))


def events_of(dataset: Dataset) -> list[Event]:
    users = dataset.catalog.users.ids(dataset.users)
    items = dataset.catalog.items.ids(dataset.events.items)
    return list(zip(users, items, dataset.events.times.tolist(), strict=True))


def is_valid(row: tuple[str | None, str, float | None]) -> bool:
    user, _, time = row
    return bool(user) and time is not None and math.isfinite(time) and 0 <= time < 1e11


@given(ROWS)
def test_no_valid_event_is_lost_and_no_other_is_kept(rows: list[tuple[str | None, str, float | None]]) -> None:
    dataset, report = clean(raw_of(rows))
    assert set(events_of(dataset)) == {row for row in rows if is_valid(row)}
    assert len(events_of(dataset)) == len(set(events_of(dataset)))
    assert report.interactions.read == len(rows) == report.interactions.kept + sum(d.count for d in report.dropped)


@given(ROWS, OPTIONS)
def test_cleaning_twice_is_cleaning_once(
    rows: list[tuple[str | None, str, float | None]], options: CleanOptions
) -> None:
    once, _ = clean(raw_of(rows), options)
    twice, report = clean(raw_of(events_of(once)), options)
    assert report.dropped == ()
    per_user = sorted(events_of(once), key=lambda e: e[0])
    assert sorted(events_of(twice), key=lambda e: e[0]) == per_user


@given(ROWS, OPTIONS)
def test_what_stays_has_enough_events(rows: list[tuple[str | None, str, float | None]], options: CleanOptions) -> None:
    dataset, report = clean(raw_of(rows), options)
    for who, least in ((0, options.min_user_events), (1, options.min_item_events)):
        ids = [event[who] for event in events_of(dataset)]
        assert all(ids.count(one) >= least for one in ids)
    assert report.interactions.read == report.interactions.kept + sum(d.count for d in report.dropped)


@given(VALID)
def test_each_history_is_the_stable_sort_of_its_rows(rows: list[Event]) -> None:
    dataset, _ = clean(raw_of(rows))
    # of equal rows the last counts, so that one's place is the place
    last = {row: at for at, row in enumerate(rows)}
    expected = sorted(last, key=lambda e: (e[2], last[e]))
    for user in dataset.catalog.users.frame["id"].to_list():
        assert [e for e in events_of(dataset) if e[0] == user] == [e for e in expected if e[0] == user]


@given(VALID, VALID)
def test_importing_in_two_parts_is_importing_at_once(first: list[Event], second: list[Event]) -> None:
    whole, _ = clean(raw_of([*first, *second]))
    half, _ = clean(raw_of(first))
    both, report = clean(raw_of(second), into=half)
    assert sorted(events_of(both)) == sorted(events_of(whole))
    assert both.catalog.items.frame["id"].to_list()[: half.n_items] == half.catalog.items.frame["id"].to_list()
    assert both.catalog.users.frame["id"].to_list()[: half.n_users] == half.catalog.users.frame["id"].to_list()
    assert report.n_events == len(half) + report.interactions.added


COLUMN = st.sampled_from(["colour", "size", "title"])
TABLE = st.dictionaries(IDS, st.dictionaries(COLUMN, st.one_of(st.none(), st.sampled_from("pqr")), max_size=3))


def entities_of(table: dict[str, dict[str, str | None]]) -> Entities:
    names = sorted({name for row in table.values() for name in row})
    frame = pl.DataFrame(
        {"id": list(table), **{n: [row.get(n) for row in table.values()] for n in names}},
        schema={"id": pl.String, **dict.fromkeys(names, pl.String)},
    )
    return Entities(frame, dict.fromkeys(names, Role.CATEGORY))


@given(TABLE, TABLE)
def test_upsert_moves_nothing_and_overwrites_with_nothing_null(
    old: dict[str, dict[str, str | None]], new: dict[str, dict[str, str | None]]
) -> None:
    before, added = entities_of(old), entities_of(new)
    after = before.upsert(added.frame, added.roles)
    ids = list(old)
    assert after.frame["id"].to_list() == [*ids, *(name for name in new if name not in old)]
    assert after.digest(len(before)) == before.digest()
    assert set(after.roles) == set(before.roles) | set(added.roles)
    for name in {*old, *new}:
        known = {k: v for k, v in old.get(name, {}).items() if v is not None}
        known |= {k: v for k, v in new.get(name, {}).items() if v is not None}
        assert after.row(after.position(name)) == known


@given(TABLE, TABLE)
def test_upsert_of_the_same_again_changes_nothing(
    old: dict[str, dict[str, str | None]], new: dict[str, dict[str, str | None]]
) -> None:
    added = entities_of(new)
    once = entities_of(old).upsert(added.frame, added.roles)
    assert once.upsert(added.frame, added.roles).frame.equals(once.frame)


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 5)), max_size=30)


def dataset_of(rows: list[tuple[int, int, int]]) -> Dataset:
    catalog = Catalog(Entities.of_ids([f"i{n}" for n in range(7)]), Entities.of_ids([f"u{n}" for n in range(5)]))
    users, items, times = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    return Dataset.build(catalog, users, items, times)


def rows_of(dataset: Dataset) -> list[tuple[int, int, float]]:
    return list(zip(dataset.users.tolist(), dataset.events.items.tolist(), dataset.events.times.tolist(), strict=True))


@given(EVENTS)
def test_build_is_a_stable_sort(rows: list[tuple[int, int, int]]) -> None:
    assert rows_of(dataset_of(rows)) == sorted(rows, key=lambda r: (r[0], r[2]))


@given(EVENTS, st.data())
def test_where_keeps_what_is_marked_in_its_order(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    dataset = dataset_of(rows)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), np.bool_)
    some = dataset.where(kept)
    assert rows_of(some) == [row for row, stays in zip(rows_of(dataset), kept, strict=True) if stays]
    assert (some.n_users, some.n_items) == (dataset.n_users, dataset.n_items)
    assert len(some) + len(dataset.where(~kept)) == len(dataset)


@given(EVENTS, st.lists(st.integers(-2, 7), max_size=8))
def test_histories_are_those_of_the_users_asked_for(rows: list[tuple[int, int, int]], users: list[int]) -> None:
    dataset = dataset_of(rows)
    found = dataset.histories(users)
    assert len(found) == len(users)
    for at, user in enumerate(users):
        own = found.items[found.offsets[at] : found.offsets[at + 1]].tolist()
        assert own == [item for who, item, _ in rows_of(dataset) if who == user]


@given(EVENTS, st.integers(0, 3), st.integers(0, 3))
def test_a_catalogue_that_grows_leaves_the_events_alone(
    rows: list[tuple[int, int, int]], more_items: int, more_users: int
) -> None:
    dataset = dataset_of(rows)
    grown = dataset.with_catalog(
        Catalog(
            dataset.catalog.items.upsert(
                pl.DataFrame({"id": [f"new{n}" for n in range(more_items)]}, schema={"id": pl.String})
            ),
            dataset.catalog.users.upsert(
                pl.DataFrame({"id": [f"new{n}" for n in range(more_users)]}, schema={"id": pl.String})
            ),
        )
    )
    assert rows_of(grown) == rows_of(dataset)
    assert (grown.n_items, grown.n_users) == (7 + more_items, 5 + more_users)
    assert len(grown.histories(range(grown.n_users))) == grown.n_users
