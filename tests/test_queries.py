"""The batch types against plain Python."""

from typing import Any

import numpy as np
from cuvee.recommender import Candidates, Histories, Queries, Ragged
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

N = 8
histories = st.lists(st.lists(st.integers(0, N - 1), max_size=6), min_size=1, max_size=4)
# few values, so that there are ties
scores = arrays(np.float32, (3, N), elements=st.sampled_from([0.0, 1.0, 2.0, float("nan"), float("-inf")]))


@given(values=scores, k=st.integers(0, N + 2), excluded=st.lists(st.integers(0, N - 1), max_size=4))
def test_top_is_a_stable_sort_less_what_is_excluded(values: Any, k: int, excluded: list[int]) -> None:
    queries = Queries.build(Histories.build([[], [], []]), excluded=Ragged.of([excluded, [], [0]]))
    found = Candidates.top(values.copy(), k, queries)
    for b in range(3):
        banned = {*queries.excluded.row(b).tolist()}
        shown = [i for i in range(N) if i not in banned and np.isfinite(values[b, i])]
        wanted = sorted(shown, key=lambda i: (-values[b, i], i))[:k]
        assert found.items[b][found.items[b] >= 0].tolist() == wanted
        assert found.items.shape[1] <= k


@given(rows=histories, half_life=st.sampled_from([None, 0.5, 2.0]))
def test_matrix_keeps_the_newest_of_repeats_halved_by_age(rows: list[list[int]], half_life: float | None) -> None:
    found = Histories.build(rows).matrix(N, half_life).toarray()
    for b, row in enumerate(rows):
        for item in range(N):
            ages = [len(row) - 1 - at for at, i in enumerate(row) if i == item]
            weight = 0.0 if not ages else 1.0 if half_life is None else 2.0 ** (-min(ages) / half_life)
            np.testing.assert_allclose(found[b, item], weight, rtol=1e-6)


@given(rows=histories, n=st.integers(0, 7))
def test_last_keeps_the_newest(rows: list[list[int]], n: int) -> None:
    found = Histories.build(rows).last(n)
    assert [found.row(b).tolist() for b in range(len(rows))] == [r[len(r) - min(n, len(r)) :] for r in rows]


@given(rows=histories, picked=st.lists(st.integers(0, 3), max_size=5))
def test_select_takes_rows_in_order(rows: list[list[int]], picked: list[int]) -> None:
    picked = [p % len(rows) for p in picked]
    found = Histories.build(rows).select(picked)
    assert [found.row(b).tolist() for b in range(len(picked))] == [rows[p] for p in picked]
