"""The test that may be looked at every day: rarely wrong where nothing is, soon right where something is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cuvee.experiments.lifts import ENOUGH, METRICS, lift_of, rate_of
from cuvee.experiments.sequential import always_valid, growth_needed, half_width
from hypothesis import given
from hypothesis import strategies as st

ALPHA, SIMULATED = 0.05, 150
MARGIN = 3 * math.sqrt(ALPHA * (1 - ALPHA) / SIMULATED)

variances = st.floats(1e-8, 1e2)
estimates = st.floats(-3, 3)


def days_seen(lift: float, seed: int, days: int = 30, users: int = 60) -> tuple[float, float]:
    """The shares of simulated experiments that are called at any daily look: by this test, and by a naive one.

    Users come day by day, return, and differ in how much they look and click: items of one user are not independent.
    """
    random = np.random.default_rng(seed)
    called = naive = 0
    for _ in range(SIMULATED):
        n = days * users
        came = np.repeat(np.arange(days), users)
        treated = random.random(n) < 0.5
        taste = random.beta(2, 8, n) * np.where(treated, 1 + lift, 1)
        shown, clicked = np.zeros(n), np.zeros(n)
        always = once = False
        for day in range(days):
            there = (came == day) | ((came < day) & (random.random(n) < 0.1))
            seen = np.where(there, 10 * (1 + random.poisson(0.5, n)), 0)
            shown += seen
            clicked += random.binomial(seen, np.minimum(taste, 1))
            here = came <= day
            sides = [
                rate_of(METRICS["click_through"], {"clicked": clicked[here & one], "shown": shown[here & one]})
                for one in (treated, ~treated)
            ]
            found = lift_of(*sides, ALPHA)
            if found is not None:
                always |= found.p <= ALPHA
                once |= not found.low <= 0 <= found.high
        called += always
        naive += once
    return called / SIMULATED, naive / SIMULATED


def test_daily_looks_find_nothing_where_there_is_nothing():
    called, naive = days_seen(0.0, 1)
    assert called <= ALPHA + MARGIN
    assert naive > ALPHA + MARGIN, "looking daily at plain intervals goes wrong, so the simulation can tell"


def test_a_lift_is_found():
    called, _ = days_seen(0.25, 2)
    assert called > 0.8


def test_long_daily_looks_at_a_normal_estimate_keep_to_alpha():
    """Over so many looks that the test comes near its limit."""
    random = np.random.default_rng(3)
    steps = random.normal(size=(600, 300)).cumsum(axis=1) / np.arange(1, 301)
    variance = 0.05**2 / np.arange(1, 301)
    wrong = [any(always_valid(0.05 * x, v, ALPHA)[2] <= ALPHA for x, v in zip(row, variance, strict=True))
             for row in steps]  # fmt: skip
    assert 0.005 < np.mean(wrong) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 600)


@given(estimates, variances, st.sampled_from([0.05, 0.025, 0.01]))
def test_the_p_value_and_the_interval_say_the_same(estimate: float, variance: float, alpha: float):
    low, high, p = always_valid(estimate, variance, alpha)
    assert low <= estimate <= high
    assert 0 <= p <= 1
    if abs(p - alpha) > 1e-9:
        assert (low > 0 or high < 0) == (p < alpha)


@given(variances, st.sampled_from([0.05, 0.01]))
def test_it_is_wider_than_an_interval_for_one_look(variance: float, alpha: float):
    assert half_width(variance, alpha) > 1.959964 * math.sqrt(variance)
    assert half_width(variance, alpha) > half_width(variance / 2, alpha)


@given(st.floats(1e-5, 1), st.floats(0.01, 0.5))
def test_so_many_more_users_are_enough_and_a_few_less_are_not(variance: float, lift: float):
    times = growth_needed(variance, ALPHA, lift)
    assert half_width(variance / times, ALPHA) <= lift * 1.0001
    assert half_width(variance / (times * 0.99), ALPHA) > lift or times < 1e-6


@pytest.mark.parametrize(("variance", "estimate", "p"), [(0.0, 0.0, 1.0), (0.0, 0.1, 0.0)])
def test_without_variance_it_is_certain(variance: float, estimate: float, p: float):
    assert always_valid(estimate, variance, ALPHA) == (estimate, estimate, p)


def test_too_few_users_are_no_lift():
    def side(users: int) -> dict[str, np.ndarray]:
        return {"clicked": np.repeat([1.0, 0.0], [users, 100]), "shown": np.full(users + 100, 10.0)}

    metric = METRICS["click_through"]
    assert lift_of(rate_of(metric, side(ENOUGH)), rate_of(metric, side(ENOUGH - 1)), ALPHA) is None
    assert lift_of(rate_of(metric, side(ENOUGH)), rate_of(metric, side(ENOUGH)), ALPHA) is not None


def test_the_variance_is_that_of_resampled_users():
    random = np.random.default_rng(4)
    shown = 10.0 * random.poisson(3, 2000)
    clicked = random.binomial(shown.astype(int), random.beta(1, 9, 2000)).astype(float)
    rate = rate_of(METRICS["click_through"], {"clicked": clicked, "shown": shown})
    draws = random.integers(0, 2000, (1000, 2000))
    again = clicked[draws].sum(axis=1) / shown[draws].sum(axis=1)
    assert rate.value == pytest.approx(clicked.sum() / shown.sum())
    assert math.sqrt(rate.variance) == pytest.approx(again.std(), rel=0.1)
