"""Ragged rows, side by side and padded."""

from typing import Any

from cuvee.ranking.rows import join, padded
from cuvee.recommender import Ragged
from hypothesis import given
from hypothesis import strategies as st

rows = st.lists(st.lists(st.integers(0, 11), max_size=6), min_size=2, max_size=2)


@given(parts=st.lists(rows, min_size=1, max_size=4))
def test_join_puts_rows_side_by_side(parts: Any) -> None:
    joined = join([Ragged.of(part) for part in parts])
    for b in range(2):
        assert joined.row(b).tolist() == [item for part in parts for item in part[b]]


@given(lists=rows)
def test_padding_stands_behind_the_end(lists: Any) -> None:
    longest = max(map(len, lists))
    assert padded(Ragged.of(lists)).tolist() == [row + [-1] * (longest - len(row)) for row in lists]
