"""The comments that `cuvee tune` writes into its patch."""

from __future__ import annotations

import numpy as np
import pytest
from cuvee.cli.tune.tables import patch_of
from cuvee.evaluation.bootstrap import paired_bootstrap
from cuvee.product import BlendConfig, Product, SourceUse
from cuvee.tuning.bench import Recipe
from cuvee.tuning.objective import Measure
from cuvee.tuning.results import Group, SegmentTuning, Tuning

PRODUCT = Product(
    name="shop",
    dataset="shop",
    sources=(SourceUse(use="popular"), SourceUse(use="content")),
    blend=BlendConfig(segments={"cold": 0}),
)


def tuning(weights: dict[str, float], beside: list[str], *, alone: bool) -> Tuning:
    better = paired_bootstrap(np.array([0.5, 0.75]), np.array([0.25, 0.25]), resamples=20)
    nobody, known = Group(0, 0, 0.0, 0.0, {}, "", None), Group(60, 60, 0.2, 0.3, {"popular": 0.25}, "popular", better)
    segment = SegmentTuning("cold", 0, known, nobody, known, weights, {}, alone, beside)
    return Tuning(
        "shop", Measure("ndcg", 10), "validation", 60, 60, 60, Recipe.of(PRODUCT.blend), 0.2, 0.3, {"popular": 0.25},
        "popular", better, better, [segment], [], (), 0.0, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "beside", "alone", "says"),
    [
        ({"popular": 1.0}, [], True, "popular alone is best\n"),
        (
            {"popular": 0.5, "content": 0.5},
            ["content"],
            True,
            "popular alone is best of those with an opinion; content keeps its weight: it had none on any of",
        ),
        (
            {"popular": 0.5, "content": 0.3, "told": 0.2},
            ["content", "told"],
            True,
            "content and told keep their weights: they had none on any of these cases",
        ),
        ({"popular": 0.5, "content": 0.5}, [], False, "popular alone 0.2500, over it +150 %"),
    ],
)
def test_a_line_of_weights_and_what_is_said_of_it_agree(weights, beside, alone, says):
    text = patch_of(tuning(weights, beside, alone=alone), PRODUCT, "2031-05-30", "abc").text()
    assert says in text
    assert ("alone is best\n" in text) == (len(weights) == 1)
