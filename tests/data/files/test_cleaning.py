"""What cleaning drops, normalises and reports; and adding to a dataset that is there."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.dataset import Chronology, Dataset
from cuvee.data.files.cleaning import CleanOptions, Feedback, Repeats, Unknown, clean
from cuvee.data.files.raw import Part, RawData, RawEntities
from cuvee.errors import DataError

Row = tuple[object, ...]


def events(columns: str, *rows: Row) -> RawData:
    """Interactions with these columns, from a file that begins with a header."""
    names = columns.split()
    schema = {n: pl.String if n in {"user", "item"} else pl.Float64 for n in names}
    frame = pl.DataFrame(list(rows), schema=schema, orient="row", strict=False)
    places = {"file": pl.lit("e.csv"), "line": pl.int_range(2, pl.len() + 2, dtype=pl.UInt32)}
    return RawData(interactions=frame.with_columns(**places))


def entities(part: str, frame: pl.DataFrame, **roles: Role) -> RawData:
    places = pl.DataFrame(
        {"file": ["i.csv"] * len(frame), "line": range(2, len(frame) + 2)},
        schema={"file": pl.String, "line": pl.UInt32},
    )
    return RawData(**{part: RawEntities(frame, roles, places)})


def told(dataset: Dataset) -> dict[str, list[str]]:
    """Each user's items, oldest first."""
    ids = dataset.catalog.items.ids(dataset.events.items)
    cuts = dataset.events.offsets
    return {user: ids[cuts[at] : cuts[at + 1]] for at, user in enumerate(dataset.catalog.users.frame["id"].to_list())}


def test_histories_are_ordered_by_time_and_ties_by_the_file() -> None:
    raw = events("user item time", ("a", "x", 3), ("a", "y", 1), ("b", "z", 9), ("a", "z", 3), ("a", "w", 3))
    assert told(clean(raw)[0]) == {"a": ["y", "x", "z", "w"], "b": ["z"]}


def test_an_order_column_breaks_ties_of_time() -> None:
    raw = events("user item time order", ("a", "x", 3, 2), ("a", "y", 3, 1), ("a", "z", 1, 9))
    assert told(clean(raw)[0]) == {"a": ["z", "y", "x"]}


def test_a_row_without_time_takes_its_neighbours_by_the_order() -> None:
    raw = events(
        "user item time order",
        *[("a", "z", 8, 3), ("a", "y", None, 2), ("a", "x", 5, 1), ("a", "w", None, 0)],
        *[("b", "x", None, 1), ("c", "x", 2, 0)],
    )
    dataset, report = clean(raw)
    assert report.dropped == ()
    assert told(dataset) == {"a": ["w", "x", "y", "z"], "b": ["x"], "c": ["x"]}
    # a user none of whose times is known begins with the earliest of all
    assert dataset.events.times.tolist() == [5, 5, 5, 8, 2, 2]


def test_without_times_the_order_column_stands_for_them() -> None:
    ordered, report = clean(events("user item order", ("a", "x", 2), ("a", "y", 1)))
    assert (told(ordered), ordered.events.times.tolist()) == ({"a": ["y", "x"]}, [1, 2])
    assert ordered.chronology is Chronology.ORDER
    assert "an order and no times" in report.warnings[0]


def test_without_times_and_order_the_rows_tell_nothing() -> None:
    rows = [("a", item) for item in "uvwxyz"] + [("b", "x"), ("b", "u")]
    found = [clean(events("user item", *some)) for some in (rows, rows[::-1], rows[3:] + rows[:3])]
    first = told(found[0][0])
    for dataset, report in found:
        assert told(dataset) == first
        assert dataset.events.times.tolist() == [0] * 8
        assert dataset.chronology is Chronology.NONE
        assert ["no times" in warning for warning in report.warnings] == [True]


def test_with_times_nothing_is_warned_of() -> None:
    dataset, report = clean(events("user item time", ("a", "x", 2)))
    assert (dataset.chronology, report.warnings) == (Chronology.TIMES, ())


def test_the_same_event_twice_counts_once_and_the_later_row_wins() -> None:
    raw = events("user item time weight", ("a", "x", 1, 5), ("a", "x", 2, 6), ("a", "x", 1, 7))
    dataset, report = clean(raw)
    assert dataset.events.times.tolist() == [1, 2]
    assert dataset.events.weights.tolist() == [7, 6]
    assert [(d.reason, d.count, d.examples) for d in report.dropped] == [("the same event again", 1, ("e.csv:2",))]


def test_repeats_are_kept_or_the_last_one_is() -> None:
    raw = events("user item time", ("a", "x", 5), ("a", "y", 2), ("a", "x", 1), ("a", "x", 3), ("b", "x", 1))
    assert told(clean(raw)[0])["a"] == ["x", "y", "x", "x"]
    dataset, report = clean(raw, CleanOptions(repeats=Repeats.LAST))
    assert told(dataset) == {"a": ["y", "x"], "b": ["x"]}
    assert dataset.events.times.tolist() == [2, 5, 1]
    assert report.count("an earlier event with the same item") == 2


def test_implicit_feedback_weighs_one_or_by_its_column() -> None:
    assert clean(events("user item value", ("a", "x", 1), ("a", "y", None)))[0].events.weights.tolist() == [1, 1]
    weighed = events("user item time weight", ("a", "x", 1, 0.5), ("a", "y", 2, 0), ("a", "z", 3, None))
    dataset, report = clean(weighed)
    assert dataset.events.weights.tolist() == [0.5, 0]
    assert report.count("weight is not a number from 0 on") == 1


@pytest.mark.parametrize("feedback", [Feedback.EXPLICIT, Feedback.AUTO])
def test_explicit_feedback_below_the_threshold_is_seen_but_not_liked(feedback: Feedback) -> None:
    raw = events("user item value", ("a", "x", 5), ("a", "y", 4), ("a", "z", 3.9), ("a", "w", None))
    dataset, report = clean(raw, CleanOptions(feedback=feedback, positive_from=4))
    assert dataset.events.weights.tolist() == [1, 1, 0]
    assert report.count("no value") == 1


def test_implicit_feedback_ignores_a_threshold() -> None:
    dataset, _ = clean(
        events("user item value", ("a", "x", 1)), CleanOptions(feedback=Feedback.IMPLICIT, positive_from=4)
    )
    assert dataset.events.weights.tolist() == [1]


def test_explicit_feedback_needs_a_threshold_and_values() -> None:
    with pytest.raises(DataError, match="--positive-from"):
        clean(events("user item value", ("a", "x", 1)), CleanOptions(feedback=Feedback.EXPLICIT))
    with pytest.raises(DataError, match="--map value=COLUMN"):
        clean(events("user item", ("a", "x")), CleanOptions(feedback=Feedback.EXPLICIT, positive_from=4))


def test_minimum_events_are_applied_until_nothing_more_falls() -> None:
    # y falls for want of a second event; then b has one event left and falls; then x has one left, and so on
    raw = events("user item", ("a", "x"), ("a", "z"), ("a", "w"), ("c", "z"), ("c", "w"), ("b", "x"), ("b", "y"))
    dataset, report = clean(raw, CleanOptions(min_user_events=2, min_item_events=2))
    assert {user: sorted(items) for user, items in told(dataset).items()} == {"a": ["w", "z"], "c": ["w", "z"]}
    assert report.count("item with fewer than 2 events") == 2
    assert report.count("user with fewer than 2 events") == 1
    assert dataset.catalog.items.frame["id"].to_list() == ["z", "w"]


def test_entities_of_a_file_stay_though_all_their_events_fall() -> None:
    raw = RawData.concat(
        [
            entities("items", pl.DataFrame({"id": ["q", "x"]})),
            events("user item", ("a", "x"), ("b", "y"), ("b", "x")),
        ]
    )
    dataset, _ = clean(raw, CleanOptions(min_user_events=2))
    assert dataset.catalog.items.frame["id"].to_list() == ["q", "x", "y"]
    assert dataset.catalog.users.frame["id"].to_list() == ["b"]


def test_unknown_items_and_users_are_added_with_nothing_known_or_dropped() -> None:
    films = pl.DataFrame({"id": ["x"], "title": ["X"]})
    raw = RawData.concat(
        [entities("items", films, title=Role.TEXT), events("user item", ("a", "x"), ("b", "new"), ("c", "new"))]
    )
    dataset, report = clean(raw)
    assert dataset.catalog.items.frame.rows() == [("x", "X"), ("new", None)]
    assert (report.items.added, report.items.bare, report.users.bare) == (2, 1, 3)
    dataset, report = clean(raw, CleanOptions(unknown=Unknown.DROP))
    assert dataset.catalog.items.frame["id"].to_list() == ["x"]
    # there is no users file, so no user is unknown
    assert dataset.catalog.users.frame["id"].to_list() == ["a"]
    assert report.count("unknown item") == 2


def test_an_items_file_may_repeat_an_id_or_lack_one() -> None:
    films = pl.DataFrame({"id": ["x", "", "x", None, "y"], "title": ["old", "?", "new", "?", "Y"]})
    dataset, report = clean(entities("items", films, title=Role.TEXT))
    assert dataset.catalog.items.frame.rows() == [("x", "new"), ("y", "Y")]
    assert [(d.reason, d.count, d.examples) for d in report.dropped] == [
        ("no id", 2, ("i.csv:3", "i.csv:5")),
        ("the same id again", 1, ("i.csv:2",)),
    ]
    assert (report.items.read, report.items.kept) == (5, 2)
    with pytest.raises(DataError, match=r"i\.csv:3: no id"):
        clean(entities("items", films, title=Role.TEXT), CleanOptions(strict=True))


def test_a_report_accounts_for_every_row() -> None:
    raw = events(
        "user item time value",
        *[("a", "x", 1, 5), ("", "x", 1, 5), (None, "x", 1, 5), ("a", "", 1, 5), ("a", "y", None, 5)],
        *[("a", "y", -1, 5), ("a", "y", float("inf"), 5), ("a", "y", float("nan"), 5), ("a", "y", 1e12, 5)],
        *[("a", "y", 2, float("nan")), ("a", "y", 2, float("-inf")), ("a", "x", 1, 4)],
    )
    dataset, report = clean(raw)
    counts = {d.reason: d.count for d in report.dropped}
    assert counts == {
        "no user": 2,
        "no item": 1,
        "no time (--map order=COLUMN would place such rows)": 1,
        "impossible time": 3,
        "time after the year 5000 (is it in milliseconds? --time-unit ms)": 1,
        "value is not finite": 2,
        "the same event again": 1,
    }
    assert report.interactions.read == 12 == report.interactions.kept + sum(counts.values())
    assert len(dataset) == report.n_events == report.interactions.kept == 1


# adding to a dataset


def test_a_new_item_is_appended_and_positions_stay() -> None:
    films = pl.DataFrame({"id": ["x", "y"], "title": ["X", "Y"], "year": [1990, 1991]})
    first, _ = clean(
        RawData.concat(
            [entities("items", films, title=Role.TEXT, year=Role.NUMBER), events("user item time", ("a", "y", 1))]
        )
    )
    more = pl.DataFrame({"id": ["z", "x"], "title": ["Z", None], "year": [2031, 1989]})
    second, report = clean(entities("items", more, title=Role.TEXT, year=Role.NUMBER), into=first)
    assert second.catalog.items.frame.rows() == [("x", "X", 1989), ("y", "Y", 1991), ("z", "Z", 2031)]
    assert second.catalog.items.digest(2) == first.catalog.items.digest()
    assert told(second) == told(first)
    assert (report.items.added, report.items.updated, report.n_items) == (1, 1, 3)
    assert report.interactions.read == 0


def test_events_are_merged_and_the_same_ones_count_once() -> None:
    first, _ = clean(events("user item time weight", ("a", "x", 1, 1), ("a", "y", 5, 1), ("b", "x", 2, 1)))
    more = events("user item time weight", ("a", "z", 3, 1), ("a", "y", 5, 9), ("c", "x", 1, 1))
    second, report = clean(more, into=first)
    assert told(second) == {"a": ["x", "z", "y"], "b": ["x"], "c": ["x"]}
    assert second.events.weights.tolist() == [1, 1, 9, 1, 1]
    assert (report.interactions.kept, report.interactions.added, report.interactions.updated) == (3, 2, 1)
    assert report.n_events == 5


def test_importing_the_same_again_changes_nothing() -> None:
    raw = events("user item time", ("a", "x", 1), ("a", "y", 1), ("b", "x", 2))
    first, _ = clean(raw)
    second, report = clean(raw, into=first)
    assert told(second) == told(first)
    assert second.events.times.tolist() == first.events.times.tolist()
    assert (report.interactions.added, report.interactions.updated) == (0, 3)


def test_new_events_without_time_join_those_that_have_none_either() -> None:
    first, _ = clean(events("user item", ("a", "x"), ("a", "y")))
    second, report = clean(events("user item", ("a", "z"), ("a", "x")), into=first)
    assert told(second) == told(clean(events("user item", ("a", "z"), ("a", "y"), ("a", "x")))[0])
    assert (report.interactions.added, report.interactions.updated) == (1, 1)


KINDS = {"user item time": ("a", "x", 1), "user item order": ("a", "x", 1), "user item": ("a", "x")}


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("new", KINDS)
def test_events_join_only_those_of_which_the_same_is_known(there: str, new: str) -> None:
    first, _ = clean(events(there, KINDS[there]))
    if there == new:
        assert len(clean(events(new, KINDS[new]), into=first)[0]) == 1
        return
    with pytest.raises(DataError, match=r"would have a wrong order.*--replace"):
        clean(events(new, KINDS[new]), into=first)


@pytest.mark.parametrize("there", KINDS)
def test_what_is_known_of_time_is_kept_with_the_dataset(there: str, tmp_path: Path) -> None:
    made, _ = clean(events(there, KINDS[there]))
    made.save(tmp_path / "d")
    again = Dataset.load(tmp_path / "d")
    assert again.chronology is made.chronology
    assert again.events.times.tolist() == made.events.times.tolist()
    items = entities("items", pl.DataFrame({"id": ["q"]}))
    assert clean(items, into=again)[0].chronology is made.chronology


NOW = 1_800_000_000


@pytest.mark.parametrize(("ahead", "kept"), [(-1, True), (0, True), (300, True), (301, False), (1e9, False)])
def test_what_is_in_the_future_is_dropped_beyond_five_minutes(ahead: float, kept: bool) -> None:
    raw = events("user item time", ("a", "x", NOW + ahead), ("a", "y", 1))
    dataset, report = clean(raw, CleanOptions(now=NOW))
    assert len(dataset) == 1 + kept
    assert report.count("time is in the future, by over 5 minutes") == 1 - kept
    if ahead == 301:
        assert report.dropped[0].examples == ("e.csv:2: 2027-01-15 08:05:01 UTC",)


@pytest.mark.parametrize("weight", [1e39, 1e13, 1.7e308, 1e-13, 1e-46, 5e-324])
def test_a_weight_that_cannot_be_summed_is_dropped(weight: float) -> None:
    dataset, report = clean(events("user item time weight", ("a", "x", 1, weight), ("a", "y", 2, 1)))
    assert dataset.events.weights.tolist() == [1]
    assert report.count("weight is neither 0 nor from 1e-12 to 1e+12") == 1


def test_what_is_there_counts_towards_the_minimum_and_never_falls() -> None:
    first, _ = clean(events("user item time", ("a", "x", 1), ("b", "x", 1)))
    second, report = clean(
        events("user item time", ("a", "y", 2), ("c", "x", 2)), CleanOptions(min_user_events=2), into=first
    )
    assert told(second) == {"a": ["x", "y"], "b": ["x"]}
    assert report.count("user with fewer than 2 events") == 1


def test_repeats_that_are_there_yield_only_to_new_ones() -> None:
    first, _ = clean(events("user item time", ("a", "x", 1), ("a", "x", 2), ("b", "x", 1), ("b", "x", 2)))
    second, _ = clean(events("user item time", ("a", "x", 3)), CleanOptions(repeats=Repeats.LAST), into=first)
    assert told(second) == {"a": ["x"], "b": ["x", "x"]}


def test_unknown_means_not_in_the_dataset_where_no_file_is_given() -> None:
    first, _ = clean(events("user item time", ("a", "x", 1)))
    second, report = clean(
        events("user item time", ("a", "q", 2), ("z", "x", 2), ("a", "x", 2)),
        CleanOptions(unknown=Unknown.DROP),
        into=first,
    )
    assert told(second) == {"a": ["x", "x"]}
    assert (report.count("unknown item"), report.count("unknown user")) == (1, 1)


def test_a_column_of_another_type_is_refused_by_name() -> None:
    films = pl.DataFrame({"id": ["x"], "genres": [["Noir"]], "year": [1990]})
    first, _ = clean(entities("items", films, genres=Role.CATEGORIES, year=Role.NUMBER))
    with pytest.raises(DataError, match="column 'year' has type Int64 in the dataset, and String in the file"):
        clean(entities("items", pl.DataFrame({"id": ["y"], "year": ["soon"]}), year=Role.TEXT), into=first)
    fraction = entities("items", pl.DataFrame({"id": ["y"], "year": [1990.5]}), year=Role.NUMBER)
    assert clean(fraction, into=first)[0].catalog.items.frame["year"].to_list() == [1990, 1990.5]


def test_an_import_survives_the_disk(tmp_path: Path) -> None:
    raw = events("user item time", ("a", "x", 1), ("b", "y", 2))
    clean(raw)[0].save(tmp_path / "films")
    second, _ = clean(events("user item time", ("a", "y", 3)), into=Dataset.load(tmp_path / "films"))
    second.save(tmp_path / "films")
    assert told(Dataset.load(tmp_path / "films")) == {"a": ["x", "y"], "b": ["y"]}


def test_nothing_at_all_is_an_empty_dataset() -> None:
    dataset, report = clean(RawData())
    assert (len(dataset), dataset.n_items, dataset.n_users, report.dropped) == (0, 0, 0, ())


def test_reasons_keep_to_their_part() -> None:
    films = pl.DataFrame({"id": ["", "x"]})
    raw = RawData.concat([entities("items", films), entities("users", films), events("user item", ("a", "x"))])
    _, report = clean(raw)
    assert {d.part for d in report.dropped} == {Part.ITEMS, Part.USERS}
    assert report.count("no id", Part.ITEMS) == 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_arrays_have_the_types_of_a_dataset(n: int) -> None:
    rows: Sequence[Row] = [("a", f"x{i}", i) for i in range(n)]
    dataset, _ = clean(events("user item time", *rows))
    assert dataset.events.items.dtype == np.int32
    assert dataset.events.weights.dtype == np.float32
    assert dataset.events.times.dtype == np.float64
    assert dataset.events.offsets.dtype == np.int64
