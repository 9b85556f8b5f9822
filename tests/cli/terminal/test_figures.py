"""Differences as people read them, degenerate ones included."""

import math

import numpy as np
import pytest
from cuvee.cli.terminal.figures import better_share, uplift, with_margin
from cuvee.evaluation.bootstrap import mean_interval, paired_bootstrap
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


@pytest.mark.parametrize(
    ("first", "second", "says", "share"),
    [
        ([0.0], [0.0], "both 0", ""),
        ([0.0, 0.0], [0.0, 0.0], "both 0", "0.0%"),
        ([0.5], [0.25], "+100 %", ""),
        ([0.5], [0.0], "+0.5000", ""),
        ([0.0], [0.5], "-100 %", ""),
        ([0.5, 0.5], [0.0, 0.0], "+0.5000 [+0.5000, +0.5000]", "100.0%"),
        ([0.5, 0.5], [0.4, 0.4], "+25.0 % [+25.0, +25.0]", "100.0%"),
        ([1.0, 1.0], [0.1, 0.1], "+900 % [+900, +900]", "100.0%"),
    ],
)
def test_how_much_more(first, second, says, share):
    found = paired_bootstrap(np.array(first), np.array(second), resamples=50)
    assert (uplift(found), better_share(found)) == (says, share)


@pytest.mark.parametrize(
    ("values", "says"),
    [([0.0], "0.0000"), ([1.0], "1.0000"), ([0.0] * 9, "0.0000"), ([0.25] * 9, "0.2500")],
)
def test_no_margin_where_chance_says_nothing(values, says):
    assert with_margin(mean_interval(np.array(values))) == says


@given(arrays(np.float64, (2, 7), elements=st.sampled_from([0.0, 0.25, 1.0])), st.integers(1, 7))
def test_never_a_number_that_is_none(pair, n):
    found = paired_bootstrap(pair[0, :n], pair[1, :n], resamples=30)
    for text in (uplift(found), better_share(found), with_margin(mean_interval(pair[0, :n], resamples=30))):
        assert "nan" not in text
        assert "inf" not in text
    assert math.isfinite(found.first)
