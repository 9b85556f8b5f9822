"""Calibrators: NaN kept, monotone within a row, a shared scale."""

from typing import Any

import numpy as np
import pytest
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtri

KINDS: list[type[Calibrator]] = [Quantile, Rank, MinMax, ZScore]

scores = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12)),
    elements=st.one_of(st.just(float("nan")), st.floats(-1e4, 1e4, width=32)),
)


def build(kind: type[Calibrator], seen: Any) -> Calibrator:
    return kind(kind.learn(seen[~np.isnan(seen)]))


@pytest.mark.parametrize("kind", KINDS)
@given(values=scores)
def test_nan_stays_and_nothing_else_becomes_nan(kind: type[Calibrator], values: Any) -> None:
    out = build(kind, values).calibrate(values)
    assert out.dtype == np.float32
    assert out.shape == values.shape
    np.testing.assert_array_equal(np.isnan(out), np.isnan(values))
    assert not np.isinf(out).any()


@pytest.mark.parametrize("kind", KINDS)
@given(values=scores)
def test_never_reverses_two_items_of_a_row(kind: type[Calibrator], values: Any) -> None:
    out = build(kind, values).calibrate(values)
    for before, after in zip(values, out, strict=True):
        known = ~np.isnan(before)
        order = np.argsort(before[known], kind="stable")
        assert (np.diff(after[known][order]) >= -1e-5).all()


@pytest.mark.parametrize("kind", [Rank, MinMax])
@given(values=scores)
def test_bounded_scales_stay_between_0_and_1(kind: type[Calibrator], values: Any) -> None:
    out = build(kind, values).calibrate(values)
    known = out[~np.isnan(out)]
    assert ((known >= 0) & (known <= 1)).all()


@given(values=scores, asked=st.lists(st.floats(-2e4, 2e4, width=32), min_size=1, max_size=9))
def test_a_learnt_scale_holds_for_scores_that_were_never_seen(values: Any, asked: Any) -> None:
    row = np.array([sorted(asked)], np.float32)
    out = build(Quantile, values).calibrate(row)
    assert np.isfinite(out).all()
    assert (np.diff(out[0]) >= -1e-4 * np.maximum(np.abs(out[0, 1:]), 1)).all()


def test_quantile_is_the_normal_score_of_the_share_below() -> None:
    learnt = Quantile(Quantile.learn(np.random.default_rng(0).permutation(10_001).astype(np.float32)))
    levels = np.array([0.01, 0.25, 0.5, 0.75, 0.99, 0.997])
    np.testing.assert_allclose(
        learnt.calibrate((levels[None] * 10_000).astype(np.float32))[0], ndtri(levels), atol=0.02
    )


def test_quantile_makes_a_skewed_source_even() -> None:
    normal = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    skewed = np.exp(3 * normal)
    out = Quantile(Quantile.learn(skewed)).calibrate(skewed[None])[0]
    inside = np.abs(normal) < 3
    np.testing.assert_allclose(out[inside], normal[inside], atol=0.1)


def test_quantile_tells_the_best_apart_and_goes_on_beyond_what_it_saw() -> None:
    learnt = Quantile(Quantile.learn(np.random.default_rng(1).exponential(size=50_000).astype(np.float32)))
    top = learnt.calibrate(np.array([[4, 5, 6, 7, 8, 9, 10, 20, 40]], np.float32))[0]
    assert (np.diff(top) > 0.05).all()


def test_quantile_puts_an_atom_at_the_middle_of_its_run() -> None:
    mostly_zero = np.array([0.0] * 800 + list(range(1, 201)), np.float32)
    out = Quantile(Quantile.learn(mostly_zero)).calibrate(np.array([[0.0, 200.0]], np.float32))
    assert out[0, 0] == pytest.approx(ndtri(0.4), abs=0.03)
    assert out[0, 1] > 2


def test_quantile_without_anything_learnt_is_the_zscore() -> None:
    row = np.array([[1, 2, 3, np.nan]], np.float32)
    np.testing.assert_array_equal(Quantile({}).calibrate(row), ZScore({}).calibrate(row))


@given(values=scores)
def test_rank_counts_those_below_and_half_of_the_equals(values: Any) -> None:
    for row, out in zip(values, Rank({}).calibrate(values), strict=True):
        known = row[~np.isnan(row)]
        for value, rank in zip(row, out, strict=True):
            if not np.isnan(value):
                assert rank == pytest.approx(
                    ((known < value).sum() + (known == value).sum() / 2) / len(known), abs=1e-6
                )


def test_zscore_centres_and_scales_each_row() -> None:
    out = ZScore({}).calibrate(np.array([[1, 2, 3, np.nan], [5, 5, 5, 5]], np.float32))
    np.testing.assert_allclose(out[0, :3], [-1.2247449, 0, 1.2247449], rtol=1e-6)
    np.testing.assert_array_equal(out[1], 0)


def test_rank_shares_the_mean_between_equals() -> None:
    out = Rank({}).calibrate(np.array([[7, 7, 1, np.nan]], np.float32))
    np.testing.assert_allclose(out[0, :3], [2 / 3, 2 / 3, 1 / 6], rtol=1e-6)
