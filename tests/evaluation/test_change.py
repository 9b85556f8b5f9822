"""Comparisons of two configurations: keys that differ, and lists that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuvee.evaluation.change import Change, compared, differences
from hypothesis import given
from hypothesis import strategies as st


def told(old: list[list[int]], new: list[list[int]]) -> Any:
    users = np.arange(len(old), dtype=np.int32)
    return compared("all", users, np.array(old, np.int32), np.array(new, np.int32))


LISTS = st.lists(st.permutations(range(12)).map(lambda p: list(p[:5])), min_size=2, max_size=8)


@given(LISTS)
def test_equal_lists_are_the_same(lists: list[list[int]]):
    found, examples = told(lists, lists)
    assert (found.same, found.top, found.overlap.mean, found.moved.mean) == (1.0, 1.0, 1.0, 0.0)
    assert examples == []


@given(LISTS, st.randoms())
def test_items_in_another_order_are_all_in_both(lists: list[list[int]], random: Any):
    other = [random.sample(one, len(one)) for one in lists]
    found, _ = told(lists, other)
    assert found.overlap.mean == 1.0
    places = [abs(one.index(item) - two.index(item)) for one, two in zip(lists, other, strict=True) for item in one]
    assert found.moved.mean == pytest.approx(np.mean(places))


@given(LISTS)
def test_lists_without_a_common_item_have_nothing_in_both(lists: list[list[int]]):
    found, examples = told(lists, [[item + 12 for item in one] for one in lists])
    assert (found.same, found.top, found.overlap.mean) == (0.0, 0.0, 0.0)
    assert len(examples) == min(3, len(lists))


def test_short_lists_count_by_their_own_length():
    found, _ = told([[1, 2, -1], [3, 4, 5]], [[1, 2, -1], [3, -1, -1]])
    assert found.same == 0.5
    assert found.overlap.mean == pytest.approx((1 + 1 / 3) / 2)


def test_changed_keys_are_named_in_the_order_of_the_files():
    before = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": 5}
    after = {"a": 1, "b": {"c": [2, 1], "d": 3}, "f": 6}
    assert differences(before, after) == [
        Change("b.c", [1, 2], [2, 1]), Change("b.d", None, 3), Change("e", 5, None), Change("f", None, 6),
    ]  # fmt: skip
