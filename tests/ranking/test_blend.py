"""Blenders: exact attribution, weights over the living, the policies on missing opinions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cuvee.ranking.blend import (
    Missing,
    Opinions,
    ReciprocalRankFusion,
    RrfOptions,
    WeightedOptions,
    WeightedSum,
    live_weights,
)
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

P, B, M = 3, 2, 5
opinions = arrays(np.float32, (P, B, M), elements=st.one_of(st.just(float("nan")), st.floats(-10, 10, width=32)))
weights = arrays(np.float32, (P, B), elements=st.floats(0, 1, width=32))
present = arrays(np.bool_, (B, M))
policies: list[Missing] = ["prior", "skip", "zero"]


def weighted(policy: Missing) -> WeightedSum:
    return WeightedSum(WeightedSum.Options(), policy)


@pytest.mark.parametrize("policy", policies)
@given(calibrated=opinions, weight=weights, there=present)
def test_contributions_are_finite_and_nothing_on_padding(
    policy: Missing, calibrated: Any, weight: Any, there: Any
) -> None:
    live = (~np.isnan(calibrated)).any(axis=2)
    used = live_weights(weight, live)
    for blender in (weighted(policy), ReciprocalRankFusion(RrfOptions(), policy)):
        out = blender.contributions(Opinions.bare(calibrated, used, there))
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert (out[:, ~there] == 0).all()


@given(weight=weights, live=arrays(np.bool_, (P, B)))
def test_live_weights_add_up_to_one_over_the_living(weight: Any, live: Any) -> None:
    used = live_weights(weight, live)
    assert (used[~live] == 0).all()
    total = used.sum(axis=0)
    np.testing.assert_allclose(total[live.any(axis=0)], 1, rtol=1e-5)
    assert (total[~live.any(axis=0)] == 0).all()


def test_weighted_sum_by_hand() -> None:
    calibrated = np.array([[[1.0, 0.0]], [[0.0, 2.0]]], np.float32)
    out = weighted("prior").contributions(
        Opinions.bare(calibrated, np.array([[0.75], [0.25]], np.float32), np.ones((1, 2), np.bool_))
    )
    np.testing.assert_allclose(out, [[[0.75, 0.0]], [[0.0, 0.5]]])


def test_a_missing_opinion_counts_as_its_policy_says() -> None:
    nan = np.nan
    calibrated = np.array([[[0.2, 0.6, nan]], [[0.5, 0.5, 0.9]]], np.float32)
    asked = Opinions.bare(calibrated, np.array([[0.5], [0.5]], np.float32), np.ones((1, 3), np.bool_))
    prior = weighted("prior").contributions(asked)
    skip = weighted("skip").contributions(asked)
    zero = weighted("zero").contributions(asked)
    np.testing.assert_allclose(prior[:, 0, 2], [0.2, 0.45], rtol=1e-6)  # 0.5 x the mean of 0.2 and 0.6
    np.testing.assert_allclose(skip[:, 0, 2], [0.0, 0.9], rtol=1e-6)  # the other source alone, in full
    np.testing.assert_allclose(zero[:, 0, 2], [0.0, 0.45], rtol=1e-6)


UNSURE = np.array([[1.0, 2.0, 4.0, 9.0, np.nan]], np.float32)
SURE = np.array([[5.0, 1.0, 2.0, 4.0, 3.0]], np.float32)


def last_item(policy: Missing, calibrator: Calibrator) -> tuple[Any, Any]:
    """What each source adds to the items that both know, and to the one that the first does not."""
    calibrated = np.stack([calibrator.calibrate(UNSURE), calibrator.calibrate(SURE)])
    half = np.full((2, 1), 0.5, np.float32)
    out = weighted(policy).contributions(Opinions.bare(calibrated, half, np.ones((1, 5), np.bool_)))[:, 0]
    return out[:, :4], out[:, 4]


CALIBRATORS = [ZScore({}), MinMax({}), Rank({}), Quantile(Quantile.learn(np.arange(20, dtype=np.float32)))]


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: type(c).__name__)
def test_prior_neither_lifts_nor_buries_on_any_scale(calibrator: Calibrator) -> None:
    known, missing = last_item("prior", calibrator)
    assert missing[0] == pytest.approx(known[0].mean(), abs=1e-6)


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: type(c).__name__)
def test_skip_lets_the_others_speak_in_full(calibrator: Calibrator) -> None:
    _, missing = last_item("skip", calibrator)
    assert missing[0] == 0
    assert missing[1] == pytest.approx(calibrator.calibrate(SURE)[0, 4], abs=1e-6)


def test_what_zero_means_depends_on_the_scale() -> None:
    known, missing = last_item("zero", ZScore({}))
    assert missing[0] == pytest.approx(known[0].mean(), abs=1e-6)  # the mean: the same as prior
    for bounded in (MinMax({}), Rank({})):
        known, missing = last_item("zero", bounded)
        assert missing[0] <= known[0].min()  # the worst that the source says of anything


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: type(c).__name__)
def test_optimism_counts_in_deviations_above_the_mean_for_items_without_events_alone(calibrator: Calibrator) -> None:
    calibrated = np.stack([calibrator.calibrate(UNSURE), calibrator.calibrate(SURE)])
    bare = Opinions.bare(calibrated, np.full((2, 1), 0.5, np.float32), np.ones((1, 5), np.bool_))
    new = replace(bare, untouched=np.array([[True, False, False, False, True]]))
    hopeful = WeightedSum(WeightedOptions(optimism=2.0), "prior")
    lifted, plain = hopeful.contributions(new)[:, 0], hopeful.contributions(bare)[:, 0]
    known = calibrated[0, 0, :4]
    assert lifted[0, 4] == pytest.approx(0.5 * (known.mean() + 2 * known.std()), abs=1e-5)
    np.testing.assert_array_equal(lifted[1], plain[1])  # who knows it says what it knows
    np.testing.assert_array_equal(lifted[:, :4], plain[:, :4])
    np.testing.assert_array_equal(plain, weighted("prior").contributions(bare)[:, 0])


@pytest.mark.parametrize("policy", ["skip", "zero"])
def test_optimism_without_a_prior_is_refused(policy: Missing) -> None:
    with pytest.raises(ValidationError, match="needs missing"):
        WeightedOptions.model_validate({"optimism": 1.0}, context={"missing": policy})


def test_reciprocal_rank_fusion_by_hand_and_equals_share_the_better_place() -> None:
    calibrated = np.array([[[3.0, 9.0, 9.0, np.nan]]], np.float32)
    asked = Opinions.bare(calibrated, np.ones((1, 1), np.float32), np.ones((1, 4), np.bool_))
    out = ReciprocalRankFusion(RrfOptions(k=60), "prior").contributions(asked)
    np.testing.assert_allclose(out[0, 0], [1 / 63, 1 / 61, 1 / 61, 0], rtol=1e-6)
