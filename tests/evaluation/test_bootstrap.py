"""Bootstrap: intervals that hold what they say, and paired comparisons."""

import math

import numpy as np
import pytest
from cuvee.evaluation import bootstrap
from cuvee.evaluation.bootstrap import mean_interval, mean_intervals, paired_bootstrap, paired_bootstraps
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

values = arrays(np.float64, st.integers(2, 40), elements=st.floats(0, 1, width=32))


@given(values, st.integers(0, 5))
def test_an_interval_lies_within_the_values_and_repeats(per_user, seed):
    found = mean_interval(per_user, resamples=200, seed=seed)
    assert found == mean_interval(per_user, resamples=200, seed=seed)
    assert found.mean == pytest.approx(per_user.mean())
    assert per_user.min() - 1e-9 <= found.low <= found.high <= per_user.max() + 1e-9


@given(values, st.floats(-3, 3), st.floats(0.1, 10))
def test_shifting_and_scaling_the_values_does_the_same_to_the_interval(per_user, shift, scale):
    plain = mean_interval(per_user, resamples=200)
    moved = mean_interval(per_user * scale + shift, resamples=200)
    assert moved.low == pytest.approx(plain.low * scale + shift, abs=1e-9)
    assert moved.high == pytest.approx(plain.high * scale + shift, abs=1e-9)


@given(values)
def test_equal_values_leave_nothing_to_chance(per_user):
    constant = np.full_like(per_user, 0.25)
    found = mean_interval(constant, resamples=50)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


@given(values)
def test_a_list_against_itself_is_no_better(per_user):
    found = paired_bootstrap(per_user, per_user, resamples=100)
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.share_above == 0


@given(values, st.floats(0.01, 1))
def test_always_better_by_the_same_is_certain_although_users_differ(per_user, more):
    found = paired_bootstrap(per_user + more, per_user, resamples=100)
    assert found.share_above == 1
    assert (found.difference.low, found.difference.high) == pytest.approx((more, more))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    samples = rng.exponential(1.0, (200, 400))
    intervals = [mean_interval(sample, resamples=300, seed=i) for i, sample in enumerate(samples)]
    covered = np.mean([found.low <= 1.0 <= found.high for found in intervals])
    assert 0.90 <= covered <= 0.99  # 95 % less the sampling error of 200 trials


def test_the_width_is_that_of_the_normal_approximation():
    sample = np.random.default_rng(0).normal(0.0, 1.0, 2000)
    found = mean_interval(sample, resamples=4000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * sample.std() / math.sqrt(2000), rel=0.06)


def test_paired_figures():
    found = paired_bootstrap(np.array([1.0, 0.5, 0.0, 1.0]), np.array([0.5, 0.5, 0.0, 0.0]), resamples=500)
    assert (found.n_users, found.first, found.second) == (4, 0.625, 0.25)
    assert found.difference.mean == pytest.approx(0.375)
    assert found.uplift.mean == pytest.approx(1.5)
    assert 0 < found.share_above < 1  # four users prove little


def test_nothing_to_divide_by_leaves_the_uplift_open():
    found = paired_bootstrap(np.array([1.0, 1.0]), np.zeros(2), resamples=20)
    assert math.isinf(found.uplift.mean)
    assert math.isnan(found.uplift.low)
    assert found.difference.low == 1


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch):
    sample = np.random.default_rng(0).random((50, 2))
    whole = mean_intervals(sample, resamples=100)
    monkeypatch.setattr(bootstrap, "CHUNK", 170)
    for piecewise, at_once in zip(mean_intervals(sample, resamples=100), whole, strict=True):
        assert (piecewise.low, piecewise.high) == pytest.approx((at_once.low, at_once.high), rel=1e-12)


@given(values, st.floats(0, 1))
def test_many_at_once_are_what_each_is_alone(per_user, shift):
    others = [per_user[::-1].copy(), per_user + shift]
    together = paired_bootstraps(per_user, others, resamples=100)
    for one, other in zip(together, others, strict=True):
        alone = paired_bootstrap(per_user, other, resamples=100)
        assert (one.difference.low, one.uplift.high) == pytest.approx(
            (alone.difference.low, alone.uplift.high), nan_ok=True
        )


def test_other_users_cannot_be_paired():
    with pytest.raises(ValueError, match="same users"):
        paired_bootstrap(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="same users"):
        paired_bootstrap(np.zeros(0), np.zeros(0))


def test_no_users_have_no_mean():
    assert math.isnan(mean_interval(np.zeros(0)).mean)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_single_user_says_nothing_of_chance(first, second):
    alone = mean_interval(np.array([first]))
    assert alone.mean == first
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    found = paired_bootstrap(np.array([first]), np.array([second]), resamples=20)
    assert found.difference.mean == pytest.approx(first - second)
    assert all(math.isnan(v) for v in (found.difference.low, found.uplift.high, found.share_above))
