"""Segments by the length of the history, and the passage from one's weights to the next's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cuvee.ranking.ask import Directly
from cuvee.ranking.gather import gather
from cuvee.ranking.plan import Plan
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Fixed, plan, question

UP, DOWN = Fixed([1, 2, 3, 4, 5, 6]), Fixed([6, 5, 4, 3, 2, 1])
TABLES = {"cold": {"down": 2.0}, "new": {"up": 1.0, "down": 3.0}, "warm": {"up": 1.0}}

starts = st.sets(st.integers(1, 50), max_size=4).map(lambda s: [0, *sorted(s)])
lengths = st.lists(st.integers(0, 200), min_size=1, max_size=20)


def segmented(begin: list[int], passage: Any = "smooth") -> Plan:
    made = plan({"up": UP, "down": DOWN}, weights=TABLES)
    names = ["cold", "new", "growing", "warm", "loyal"]
    return replace(made, segments=list(zip(names, begin, strict=False)), passage=passage)


@pytest.mark.parametrize("passage", ["smooth", "hard"])
@given(begin=starts, events=lengths)
def test_a_querys_shares_add_up_to_one_and_its_own_segment_has_one(passage: str, begin: Any, events: Any) -> None:
    made = segmented(begin, passage)
    shares = made.segment_shares(np.array(events))
    assert shares.dtype == np.float32
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-6)
    assert (shares[made.segment_of(np.array(events)), np.arange(len(events))] > 0).all()


@given(begin=starts)
def test_at_its_beginning_a_query_is_wholly_of_its_segment(begin: Any) -> None:
    smooth = segmented(begin).segment_shares(np.array(begin))
    np.testing.assert_array_equal(smooth, np.eye(len(begin)))
    np.testing.assert_array_equal(smooth, segmented(begin, "hard").segment_shares(np.array(begin)))


@given(begin=starts, n=st.integers(0, 200))
def test_one_more_event_changes_no_share_by_more_than_its_part_of_the_way(begin: Any, n: int) -> None:
    made = segmented(begin)
    change = np.abs(np.diff(made.segment_shares(np.array([n, n + 1])), axis=1)).max()
    ways = np.diff(np.log1p(begin))
    steepest = np.log1p(1 / (n + 1)) / ways.min() if len(ways) else 0
    assert change <= steepest + 1e-6


def test_the_passage_is_even_in_the_logarithm() -> None:
    shares = segmented([0, 1, 3]).segment_shares(np.array([0, 1, 2, 3, 1000]))
    halfway = np.log(3 / 2) / np.log(2)
    np.testing.assert_allclose(shares[1], [0, 1, 1 - halfway, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(shares[2], [0, 0, halfway, 1, 1], rtol=1e-6)


def test_weights_of_a_query_are_the_tables_times_its_shares() -> None:
    made = replace(segmented([0, 1, 3]), segments=[("cold", 0), ("new", 1), ("warm", 3)])
    histories = [[], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    found = gather(made, question(histories), Directly())
    up = np.array([0.0, 0.25, 1.0]) @ made.segment_shares(np.arange(5))
    np.testing.assert_allclose(found.weights[0], up, rtol=1e-6)
    np.testing.assert_allclose(found.weights[1], 1 - up, rtol=1e-6)
    np.testing.assert_array_equal(found.served, [[False, True, True, True, True], [True, True, True, False, False]])


def test_tables_count_alike_whatever_they_add_up_to() -> None:
    big = replace(segmented([0, 1]), weights={"cold": {"up": 60.0, "down": 40.0}, "new": {"up": 0.6, "down": 0.4}})
    np.testing.assert_allclose(big.table[:, 0], big.table[:, 1], rtol=1e-6)
