"""The suites of rules, blenders and calibrators: the engine's own pass, and broken ones are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cuvee
import numpy as np
import pytest
from cuvee.ranking.blend import ReciprocalRankFusion, WeightedSum
from cuvee.ranking.calibrate import MinMax, Quantile, Rank, ZScore
from cuvee.ranking.learned import Learned
from cuvee.rules.places import Diversity, Pin, Quota
from cuvee.rules.scores import Boost, Bury, Fresh
from cuvee.rules.shown import ExcludeSeen, Filter, MinScore
from cuvee.testing import BlenderContract, CalibratorContract, RuleContract


class TestExcludeSeen(RuleContract):
    rule = ExcludeSeen
    configs = ({}, {"events": ["purchase"]}, {"within_days": 30}, {"events": ["imported"], "within_days": 200})


class TestFilter(RuleContract):
    rule = Filter
    configs = ({"where": "year > 1990"},)


class TestMinScore(RuleContract):
    rule = MinScore
    configs = ({"at_least": 0.1},)


class TestBoost(RuleContract):
    rule = Boost
    configs = ({"where": "'Noir' IN genres", "by": 1.5},)


class TestBury(RuleContract):
    rule = Bury
    configs = ({"where": "year < 1970", "by": 1.5},)


class TestFresh(RuleContract):
    rule = Fresh
    configs = ({"column": "year", "unit": "year", "by": 1.0, "half_life_days": 3650},)


class TestPin(RuleContract):
    rule = Pin
    configs = ({"items": ["film-003", "nowhere"], "place": 2},)


class TestQuota(RuleContract):
    rule = Quota
    configs = (
        {"attribute": "genres", "at_most": 2},
        {"attribute": "year", "at_most": 1, "window": 4},
        {"attribute": "genres", "at_most": 1, "values": ["Noir"]},
    )


class TestDiversity(RuleContract):
    rule = Diversity
    configs = ({"vectors": "deep"},)


class TestWeighted(BlenderContract):
    blender = WeightedSum
    configs = ({}, {"optimism": 1.0})


class TestSkip(BlenderContract):
    blender = WeightedSum
    missing = "skip"


class TestFusion(BlenderContract):
    blender = ReciprocalRankFusion
    configs = ({}, {"k": 5.0})


class TestLearned(BlenderContract):
    blender = Learned


class TestQuantile(CalibratorContract):
    calibrator = Quantile


class TestRank(CalibratorContract):
    calibrator = Rank


class TestMinMax(CalibratorContract):
    calibrator = MinMax


class TestZScore(CalibratorContract):
    calibrator = ZScore


class WholeBatch(cuvee.Rule[cuvee.RuleConfig]):
    def arrange(self, lists: cuvee.Lists) -> cuvee.Arrangement:
        return cuvee.Arrangement(added=np.where(lists.items >= 0, np.float32(len(lists.items)), np.float32(0)))


class OnPadding(cuvee.Rule[cuvee.RuleConfig]):
    def arrange(self, lists: cuvee.Lists) -> cuvee.Arrangement:
        return cuvee.Arrangement(added=np.ones(lists.items.shape, np.float32))


class Outside(cuvee.Rule[cuvee.RuleConfig]):
    def restrict(self, queries: cuvee.Queries, seen: cuvee.Seen) -> cuvee.Restriction:
        return cuvee.Restriction(excluded=cuvee.Ragged.of([[10_000]] * len(queries)))


class WrongMask(cuvee.Rule[cuvee.RuleConfig]):
    eligible = np.ones(3, np.bool_)


class Unfinished(cuvee.Blender):
    def contributions(self, opinions: cuvee.Opinions) -> Any:
        return opinions.weights[:, :, None] * opinions.calibrated


class Upside(cuvee.Calibrator):
    def calibrate(self, scores: Any) -> Any:
        return -scores


@pytest.mark.parametrize(
    ("suite", "name", "broken", "check"),
    [
        (RuleContract, "rule", WholeBatch, "test_a_batch_equals_batches_of_one"),
        (RuleContract, "rule", OnPadding, "test_padding_is_left_alone"),
        (RuleContract, "rule", Outside, "test_restricts_each_query"),
        (RuleContract, "rule", WrongMask, "test_eligible_is_of_the_catalogue"),
        (BlenderContract, "blender", Unfinished, "test_contributions_have_their_form"),
        (CalibratorContract, "calibrator", Upside, "test_order_stays"),
    ],
)
def test_broken_ones_are_told(suite: type, name: str, broken: type, check: str) -> None:
    own = type("Own", (suite,), {name: broken})()
    run: Callable[..., None] = getattr(own, check)
    with pytest.raises(AssertionError):
        run() if suite is CalibratorContract else run({})
