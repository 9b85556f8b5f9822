"""Cases: held-out events come after the known ones, and newcomers are queried with the beginning of their histories."""

import numpy as np
import pytest
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.errors import DataError
from cuvee.evaluation.cases import HORIZON, beginnings, depths, global_time_window, sampled, validation_window
from hypothesis import given
from hypothesis import strategies as st

SEGMENTS = [("cold", 0), ("new", 1), ("growing", 3), ("warm", 10)]
rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 30), st.sampled_from([0.0, 1.0])),
    min_size=1,
    max_size=80,
)


def dataset(events: list[tuple[int, int, int, float]], users: int = 5, items: int = 10) -> Dataset:
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(items)), Entities.of_ids(f"u{n}" for n in range(users)))
    user, item, time, weight = (np.array(c) for c in zip(*events, strict=True))
    return Dataset.build(catalog, user, item, time, weight)


@given(events=rows, depth=st.integers(0, 6))
def test_a_beginning_is_a_prefix_and_the_next_new_likes_are_right(events, depth):
    data = dataset(events)
    cases = beginnings(data, np.arange(5, dtype=np.int32), depth)
    for at, person in enumerate(cases.people):
        own = data.histories([person])
        known = cases.histories.row(at).tolist()
        assert known == own.items[: len(known)].tolist()
        assert cases.histories.liked[at] == depth
        later = [i for i, w in zip(own.items[len(known) :], own.weights[len(known) :], strict=True) if w > 0]
        fresh = list(dict.fromkeys(i for i in later if i not in known))
        assert cases.held_out.row(at).tolist() == sorted(fresh[:HORIZON])
    asked = set(cases.people.tolist())
    for person in set(range(5)) - asked:
        own = data.histories([person])
        likes = np.flatnonzero(own.weights > 0)
        if len(likes) > depth:  # whoever goes on beyond his beginning likes nothing there that is new to him
            begun = likes[depth - 1] + 1 if depth else 0
            assert set(own.items[likes[depth:]].tolist()) <= set(own.items[:begun].tolist())


@given(events=rows)
def test_newcomers_are_unknown_to_the_models_and_nobody_sees_the_last_event(events):
    data = dataset(events)
    try:
        window = validation_window(data, SEGMENTS, withhold=2)
    except DataError:
        return
    newcomers = np.unique(window.cases.people[window.cases.cut])
    assert not np.isin(window.train.users, newcomers).any()
    assert not set(newcomers.tolist()) & set(window.cases.people[~window.cases.cut].tolist())
    before_the_last = data.where(data.events.ages >= 1)
    for at, person in enumerate(window.cases.people):
        held = set(window.cases.held_out.row(at).tolist())
        assert held <= set(before_the_last.histories([person]).items.tolist())


def test_histories_are_cut_where_segments_begin_and_on_the_way_to_the_next():
    assert depths(SEGMENTS) == [0, 1, 2, 3, 4, 5, 6, 8, 10]
    assert depths([("cold", 0), ("known", 5), ("warm", 30)]) == [0, 5, 6, 8, 10, 13, 17, 22, 28, 30]
    assert depths([("everyone", 0)]) == [0]
    assert depths([("cold", 0), ("known", 1)]) == [0, 1]


def busy(users: int = 40) -> Dataset:
    """Users who come one after another and do one thing a day, twelve times."""
    return dataset([(u, (u + n) % 30, u + n, 1.0) for u in range(users) for n in range(12)], users, 30)


def test_a_window_of_time_learns_from_before_and_asks_those_who_come_as_newcomers():
    data = busy()
    window = global_time_window(data, SEGMENTS, withhold=100)
    start = float(window.train.events.times.max())
    assert len(window.train) == pytest.approx(0.8 * len(data), rel=0.05)
    newcomers = np.unique(window.cases.people[window.cases.cut])
    assert len(newcomers) == window.withheld > 0
    assert not np.isin(window.train.users, newcomers).any()
    end = np.quantile(data.events.times, 0.9)  # the last tenth of all events is the test's
    for at, person in enumerate(window.cases.people):
        own = data.histories([person])
        inside = set(own.items[(own.times > start) & (own.times < end)].tolist())
        assert set(window.cases.held_out.row(at).tolist()) <= inside


def test_a_sample_keeps_the_newcomers_and_so_many_of_the_others():
    window = validation_window(busy(), SEGMENTS, withhold=5)
    few = sampled(window, 7, seed=1)
    assert len(np.unique(few.cases.people[~few.cases.cut])) == 7
    assert few.cases.cut.sum() == window.cases.cut.sum()
    same = sampled(window, 7, seed=1)
    np.testing.assert_array_equal(few.cases.people, same.cases.people)


def test_a_window_without_cases_says_what_to_do():
    with pytest.raises(DataError, match="import more events"):
        validation_window(dataset([(0, 0, 0, 1.0)]), SEGMENTS, withhold=0)
    with pytest.raises(DataError, match="import more events"):
        global_time_window(dataset([(0, 0, 0, 0.0)]), SEGMENTS, withhold=0)
