"""Token buckets: never more than burst and rate grant, and no memory without end."""

from __future__ import annotations

import pytest
from cuvee.product import Rate
from cuvee.serving.admission import rates
from cuvee.serving.admission.rates import Buckets
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), max_size=60),
)
def test_it_is_a_token_bucket(rate: float, burst: int, steps: list[tuple[float, int]]):
    clock = Clock()
    buckets = Buckets(Rate(per_second=rate, burst=burst), clock)
    level = float(burst)
    for pause, n in steps:
        clock.now += pause
        level = min(level + pause * rate, burst)
        expected = level + 1e-6 >= min(n, burst)
        close = abs(level - min(n, burst)) < 1e-5
        wait = buckets.take("a", n)
        if not close:
            assert (wait == 0) == expected
        if wait:
            assert wait == pytest.approx((min(n, burst) - level) / rate, abs=1e-5)
        else:
            level -= n


def test_keys_have_buckets_of_their_own_and_full_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "MOST_KEYS", 100)
    clock = Clock()
    buckets = Buckets(Rate(per_second=1, burst=2), clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 1]
    assert buckets.take("b") == 0
    for n in range(1000):
        buckets.take(n)
    assert len(buckets) <= 100
    clock.now += 10
    buckets.take("a")
    assert buckets.take("a") == 0


@pytest.mark.parametrize(("given", "burst"), [({"per_second": 0.1}, 1), ({"per_second": 7.5}, 8),
                                              ({"per_second": 5, "burst": 50}, 50)])  # fmt: skip
def test_a_burst_is_a_seconds_worth_unless_it_is_said(given: dict[str, float], burst: int):
    assert Rate(**given).burst == burst
