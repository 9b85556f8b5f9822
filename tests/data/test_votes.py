"""Votes: each person counts once a day for an item, and less as time passes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from cuvee.data.votes import DAY, votes
from hypothesis import given
from hypothesis import strategies as st

EVENT = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0]), st.integers(0, 3))


def told(events: list[tuple[int, int, float, float]], **more: float) -> list[float]:
    """Of (user, item, weight, day)."""
    columns = list(zip(*events, strict=True)) or [(), (), (), ()]
    return votes(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.float32),
        np.array(columns[3], np.float64) * DAY,
        **more,
    ).tolist()


def plainly(events: list[tuple[int, int, float, float]]) -> dict[tuple[int, int], float]:
    """The sums by user and item, one event after the other."""
    days: defaultdict[tuple[int, int], defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for user, item, weight, day in events:
        days[user, item][day].append(weight)
    found = {}
    for key, by_day in days.items():
        n, total = 0, 0.0
        for _, weights in sorted(by_day.items()):
            most = min(1.0, max(map(abs, weights)))
            vote = min(max(sum(weights), -most), most)
            n += vote != 0
            total += vote / max(n, 1) ** 2
        found[key] = total
    return found


@given(st.lists(EVENT, max_size=40))
def test_it_is_what_it_says(events: list[tuple[int, int, float, int]]):
    sums: defaultdict[tuple[int, int], float] = defaultdict(float)
    for (user, item, _, _), vote in zip(events, told(events), strict=True):
        sums[user, item] += vote
    assert dict(sums) == pytest.approx(plainly(events), abs=1e-5)


@pytest.mark.parametrize(
    ("events", "most"),
    [
        ([(1, 1, 1.0, 0.0)] * 100_000, 1.0),
        ([(1, 1, 10.0, 0.0)], 1.0),
        ([(1, 1, 1.0, float(n)) for n in range(10_000)], 1.65),
        ([(n, 1, 1.0, 0.0) for n in range(50)], 50.0),
        ([(1, 1, 0.5, 0.0)] * 2, 0.5),
        ([(1, 1, 1.0, 0.0)] * 10 + [(1, 1, -1.0, 0.0)] * 100, -1.0),
    ],
)
def test_people_count_not_events(events: list[tuple[int, int, float, float]], most: float):
    assert sum(told(events)) == pytest.approx(most, abs=0.006)
