"""The union of candidates against a plain set computation."""

from typing import Any

import numpy as np
from cuvee.ranking.retrieve import join, padded, ranks_in, union
from cuvee.recommender import Candidates, Ragged
from hypothesis import given
from hypothesis import strategies as st

N = 12
rows = st.lists(st.lists(st.integers(0, N - 1), unique=True, max_size=6), min_size=2, max_size=2)


def proposal(lists: list[list[int]]) -> Candidates:
    items = padded(Ragged.of(lists))
    return Candidates(items, np.where(items >= 0, -np.arange(items.shape[1]), np.nan).astype(np.float32))


@given(first=rows, second=rows, excluded=rows, banned=st.sets(st.integers(0, N - 1)))
def test_union_is_the_set_of_all_less_what_may_not_be_shown(
    first: Any, second: Any, excluded: Any, banned: set[int]
) -> None:
    eligible = np.array([i not in banned for i in range(N)])
    found = union([proposal(first), proposal(second)], Ragged.of(excluded), eligible, N, cap=100)
    for b in range(2):
        wanted = (set(first[b]) | set(second[b])) - set(excluded[b]) - banned
        assert found[b][found[b] >= 0].tolist() == sorted(wanted)


@given(first=rows, second=rows, cap=st.integers(1, 4))
def test_cap_keeps_those_that_stand_highest_anywhere(first: Any, second: Any, cap: int) -> None:
    found = union([proposal(first), proposal(second)], Ragged.of([[], []]), None, N, cap)
    for b in range(2):
        best = {i: min(r[b].index(i) for r in (first, second) if i in r[b]) for i in {*first[b], *second[b]}}
        kept = set(found[b][found[b] >= 0].tolist())
        assert len(kept) == min(cap, len(best))
        assert max((best[i] for i in kept), default=0) <= min((best[i] for i in best.keys() - kept), default=99)


@given(first=rows, second=rows)
def test_ranks_are_places_in_the_own_list(first: Any, second: Any) -> None:
    items = union([proposal(first), proposal(second)], Ragged.of([[], []]), None, N, 100)
    ranks = ranks_in(proposal(first), items, N)
    for b in range(2):
        for item, rank in zip(items[b].tolist(), ranks[b].tolist(), strict=True):
            assert rank == (first[b].index(item) + 1 if item >= 0 and item in first[b] else 0)


@given(first=rows, second=rows)
def test_join_puts_rows_side_by_side(first: Any, second: Any) -> None:
    joined = join([Ragged.of(first), Ragged.of(second)])
    for b in range(2):
        assert joined.row(b).tolist() == first[b] + second[b]


def test_no_proposals_make_an_empty_union() -> None:
    assert union([], Ragged.of([[], []]), None, N, 100).shape == (2, 0)
