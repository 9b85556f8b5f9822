"""Calibrators: NaN kept, monotone within a row, a shared scale."""

from typing import Any

import numpy as np
import pytest
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


@pytest.mark.parametrize("kind", [Quantile, Rank, MinMax])
@given(values=scores)
def test_bounded_scales_stay_between_0_and_1(kind: type[Calibrator], values: Any) -> None:
    out = build(kind, values).calibrate(values)
    known = out[~np.isnan(out)]
    assert ((known >= 0) & (known <= 1)).all()


def test_quantile_gives_the_share_of_learnt_scores_below() -> None:
    learnt = Quantile(Quantile.learn(np.arange(1001, dtype=np.float32)))
    out = learnt.calibrate(np.array([[-5, 0, 250, 500, 1000, 9999]], np.float32))
    np.testing.assert_allclose(out, [[0, 0, 0.25, 0.5, 1, 1]], atol=1e-6)


def test_quantile_puts_an_atom_at_the_middle_of_its_run() -> None:
    mostly_zero = np.array([0.0] * 80 + list(range(1, 21)), np.float32)
    out = Quantile(Quantile.learn(mostly_zero)).calibrate(np.array([[0.0, 20.0]], np.float32))
    assert out[0, 0] == pytest.approx(0.4, abs=0.01)
    assert out[0, 1] == pytest.approx(1.0)


def test_zscore_centres_and_scales_each_row() -> None:
    out = ZScore({}).calibrate(np.array([[1, 2, 3, np.nan], [5, 5, 5, 5]], np.float32))
    np.testing.assert_allclose(out[0, :3], [-1.2247449, 0, 1.2247449], rtol=1e-6)
    np.testing.assert_array_equal(out[1], 0)


def test_rank_shares_the_mean_between_equals() -> None:
    out = Rank({}).calibrate(np.array([[7, 7, 1, np.nan]], np.float32))
    np.testing.assert_allclose(out[0, :3], [2 / 3, 2 / 3, 1 / 6], rtol=1e-6)
