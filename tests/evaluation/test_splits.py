"""Splits: the newest events are held out, and no model is fitted on them."""

import numpy as np
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.evaluation.splits import leave_last_out, random_share
from hypothesis import given
from hypothesis import strategies as st

events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=60)


def dataset(rows: list[tuple[int, int, int]]) -> Dataset:
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(10)), Entities.of_ids(f"u{n}" for n in range(5)))
    users, items, times = (np.array(c) for c in zip(*rows, strict=True))
    return Dataset.build(catalog, users, items, times)


@given(rows=events)
def test_leave_last_out_holds_out_exactly_the_newest_of_each_user(rows: list[tuple[int, int, int]]) -> None:
    split = leave_last_out(dataset(rows))
    for at, user in enumerate(split.users):
        own = [(t, n, i) for n, (u, i, t) in enumerate(rows) if u == user]
        newest = max(own)  # of equal times the one that came later in the file
        assert split.held_out.row(at).tolist() == [newest[2]]
        assert split.train.histories([user]).items.tolist() == [i for _, _, i in sorted(own)[:-1]]
    alone = {u for u, *_ in rows if sum(r[0] == u for r in rows) == 1}
    assert not alone & set(split.users.tolist())


@given(rows=events)
def test_validation_never_sees_the_test_event(rows: list[tuple[int, int, int]]) -> None:
    data = dataset(rows)
    test, validation = leave_last_out(data), leave_last_out(data, back=1)
    for at, user in enumerate(validation.users):
        kept = test.train.histories([user]).items
        assert validation.held_out.row(at).tolist() == [kept[-1]]
        assert validation.train.histories([user]).items.tolist() == kept[:-1].tolist()


@given(rows=events)
def test_a_random_share_loses_no_event(rows: list[tuple[int, int, int]]) -> None:
    data = dataset(rows)
    split = random_share(data, 0.5)
    assert len(split.train) <= len(data)
    for at, user in enumerate(split.users):
        everything = set(data.histories([user]).items.tolist())
        kept = set(split.train.histories([user]).items.tolist())
        assert everything - kept <= set(split.held_out.row(at).tolist()) <= everything
        n = len(data.histories([user]).items)
        assert len(split.train.histories([user]).items) == n - round(n / 2)


def test_disliked_items_are_learnt_around_but_not_asked_for() -> None:
    catalog = Catalog(Entities.of_ids("ab"), Entities.of_ids("u"))
    data = Dataset.build(catalog, [0, 0], [0, 1], [1, 2], weights=[1.0, 0.0])
    assert leave_last_out(data).users.tolist() == []
