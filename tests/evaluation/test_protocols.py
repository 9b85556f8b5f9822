"""Protocols: held-out events are never learnt from, and the right answers are the events that came next."""

import numpy as np
import pytest
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.errors import DataError
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.protocols import COLD_EVENTS, carry_out
from hypothesis import assume, given
from hypothesis import strategies as st

N, U = 20, 6
events = st.lists(
    st.tuples(st.integers(0, U - 1), st.integers(0, N - 1), st.integers(0, 30), st.sampled_from([1.0, 1.0, 0.0])),
    min_size=30,
    max_size=160,
)


def dataset(rows):
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(N)), Entities.of_ids(f"u{n}" for n in range(U)))
    users, items, times, weights = (np.array(c) for c in zip(*rows, strict=True))
    return Dataset.build(catalog, users, items, times, weights)


def carried_out(protocol, data, **options):
    """The trial, where the dataset has anything to ask."""
    try:
        return carry_out(protocol, data, 3, **{"seed": 0, **options})
    except DataError:
        assume(False)


def ids(trial, positions):
    return set(trial.data.catalog.items.ids(positions))


@given(rows=events, protocol=st.sampled_from(list(Protocol)))
def test_every_trial(rows, protocol):
    data = dataset(rows)
    trial = carried_out(protocol, data)
    assert len(trial.train) < len(data)
    for asked in trial.rounds:
        assert (asked.held_out.lengths > 0).all()
        assert len(np.unique(asked.people)) == len(asked)
        for at, person in enumerate(asked.people):
            liked = data.histories([person])
            liked = set(data.catalog.items.ids(liked.items[liked.weights > 0]))
            right = ids(trial, asked.held_out.row(at))
            assert right <= liked  # by id: positions may have moved
            assert len(right) == asked.held_out.lengths[at]


@given(rows=events)
def test_after_a_point_of_time_nothing_is_known(rows):
    data = dataset(rows)
    trial = carried_out(Protocol.GLOBAL_TIME, data)
    (asked,) = trial.rounds
    learnt = trial.train.events.times
    assert len(learnt) == 0 or learnt.max() < np.quantile(data.events.times, 0.9)
    assert len(learnt) >= 0.5 * len(data) or len(np.unique(data.events.times)) < 5
    for at, person in enumerate(asked.people):
        known = trial.train.histories([person]).items
        assert asked.histories.row(at).tolist() == known.tolist()
        assert not set(known) & set(asked.held_out.row(at))


def test_people_who_come_after_it_are_asked_about_too():
    rows = [(u, i, 10 * u + i, 1.0) for u in range(3) for i in range(8)] + [(3, 0, 100, 1.0), (0, 9, 101, 1.0)]
    (asked,) = carry_out(Protocol.GLOBAL_TIME, dataset(rows), 3, 0).rounds
    assert dict(zip(asked.people.tolist(), asked.lengths.tolist(), strict=True)) == {0: 8, 2: 7, 3: 0}


@given(rows=events, seed=st.integers(0, 3))
def test_the_right_item_stands_among_unseen_ones(rows, seed):
    data = dataset(rows)
    trial = carried_out(Protocol.NCF, data, seed=seed)
    (asked,) = trial.rounds
    ever = set(data.events.items.tolist())
    again = carry_out(Protocol.NCF, data, 3, seed).rounds[0]
    np.testing.assert_array_equal(again.listed, asked.listed)
    for at, person in enumerate(asked.people):
        (right,) = asked.held_out.row(at)
        listed = asked.listed[at][asked.listed[at] >= 0].tolist()
        seen = set(data.histories([person]).items.tolist())
        assert listed == sorted(set(listed))  # by position: equals do not stand with the right one first
        assert right in listed
        assert set(listed) - {right} == ever - seen  # so few items that all of the unseen are drawn


def test_ninety_nine_are_drawn_where_there_are_more():
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(400)), Entities.of_ids("ab"))
    data = Dataset.build(catalog, [0] * 200 + [1] * 200, np.arange(400))
    (asked,) = carry_out(Protocol.NCF, data, 10, 0).rounds
    assert ((asked.listed >= 0).sum(axis=1) == 100).all()
    assert asked.listed[0].tolist() != asked.listed[1].tolist()
    other = carry_out(Protocol.NCF, data, 10, 1).rounds[0]
    assert other.listed.tolist() != asked.listed.tolist()


@given(rows=events)
def test_new_users_are_unknown_and_the_same_is_right_after_any_number_of_events(rows):
    data = dataset(rows)
    trial = carried_out(Protocol.COLD_USERS, data)
    first = trial.rounds[0]
    assert not set(first.people.tolist()) & set(trial.train.users.tolist())
    assert [r.lengths.tolist() for r in trial.rounds] == [[n] * len(first) for n in COLD_EVENTS]
    for asked in trial.rounds:
        assert asked.strangers
        assert asked.people.tolist() == first.people.tolist()
        assert asked.held_out.items.tolist() == first.held_out.items.tolist()
        for at, person in enumerate(asked.people):
            own = data.histories([person])
            liked = own.items[own.weights > 0].tolist()
            assert asked.histories.row(at).tolist() == liked[: asked.lengths[at]]
            assert asked.excluded.row(at).tolist() == liked[:5]
            assert set(asked.held_out.row(at).tolist()) == set(liked[5:15]) - set(liked[:5])


@given(rows=events, seed=st.integers(0, 3))
def test_new_items_stand_behind_the_known_and_nobody_learns_of_them(rows, seed):
    data = dataset(rows)
    trial = carried_out(Protocol.COLD_ITEMS, data, seed=seed)
    known = trial.train.catalog.items
    served = trial.data.catalog.items
    assert served.ids(np.arange(len(known))) == known.ids(np.arange(len(known)))
    assert sorted(served.ids(np.arange(N))) == sorted(data.catalog.items.ids(np.arange(N)))
    assert len(known) < len(served)
    assert trial.train.events.items.max(initial=-1) < len(known)
    for asked in trial.rounds:
        assert asked.histories.items.max(initial=-1) < len(known)
        is_new = asked.held_out.items >= len(known)
        assert is_new.all() if asked.about_new else not is_new.any()
        if asked.eligible is not None:
            assert asked.eligible[: len(known)].any() != asked.eligible[len(known) :].any()
        if not asked.about_new:
            for at, person in enumerate(asked.people):
                last = data.catalog.items.ids(data.histories([person]).items[-1:])
                assert served.ids(asked.held_out.row(at)) == last


@given(rows=events, protocol=st.sampled_from(list(Protocol)), n=st.integers(1, 3))
def test_a_sample_asks_about_the_same_people_in_every_round(rows, protocol, n):
    data = dataset(rows)
    whole, sample = carried_out(protocol, data), carried_out(protocol, data, users=n)
    everyone = set(np.concatenate([r.people for r in whole.rounds]).tolist())
    assert sample.n_people == min(n, len(everyone))
    assert sample.n_asked == len(everyone)
    drawn = set(np.concatenate([r.people for r in sample.rounds]).tolist())
    for before in whole.rounds:
        after = next((r for r in sample.rounds if r.name == before.name), None)
        kept = [] if after is None else after.people.tolist()
        assert kept == [p for p in before.people.tolist() if p in drawn]


@pytest.mark.parametrize("protocol", Protocol)
def test_nothing_to_ask(protocol):
    with pytest.raises(DataError, match="choose another --protocol"):
        carry_out(protocol, dataset([(0, 0, 0, 0.0)]), 3, 0)


@pytest.mark.parametrize(
    ("n_items", "seen", "says"),
    [
        (10, 4, "and 6 that the user never saw"),
        (300, 4, "and 99 that the user never saw"),
        (102, 4, "and 98 that the user never saw"),
    ],
)
def test_sampled_metrics_say_how_many_were_sampled(n_items, seen, says):
    """Of a small catalogue there are no 99 items that a user never saw."""
    users, steps = max(60, n_items), range(seen)
    pairs = [(u, (u + 7 * step) % n_items) for u in range(users) for step in steps]
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(n_items)), Entities.of_ids(f"u{n}" for n in range(users)))
    data = Dataset.build(catalog, [u for u, _ in pairs], [i for _, i in pairs], np.arange(len(pairs)) * 60.0 + 1e9)
    trial = carry_out(Protocol.NCF, data, 10, 0, None)
    assert says in trial.notes[0]
    counts = (trial.rounds[0].listed >= 0).sum(axis=1) - 1
    assert f"and {counts.max()} that" in trial.notes[0]
    assert ("they cannot miss" in " ".join(trial.notes)) == (n_items == 10)
