import math

import pytest
from cuvee.serving.scheduling.pace import FLOOR, LASTING, LEAST, ROWS, TIMES, Pace


def paced(*seconds: float) -> Pace:
    pace = Pace()
    for one in seconds:
        pace.took(one)
    return pace


def test_nothing_is_late_before_anything_is_known():
    assert paced(*[0.001] * (LEAST - 1)).limit() == math.inf


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        ([0.001] * LEAST, FLOOR),
        ([0.2] * LEAST, TIMES * 0.2),
        ([0.2] * 99 + [30.0], TIMES * 0.2),
        ([0.001] * 70 + [0.1] * 30, TIMES * 0.1),
        ([9.0] * 200 + [0.001] * 300, FLOOR),
    ],
    ids=["quick", "slow by nature", "one that hung", "some need long", "only what was lately"],
)
def test_several_times_what_is_usual(seconds: list[float], limit: float):
    assert paced(*seconds).limit() == pytest.approx(limit)


def test_larger_batches_get_more():
    pace = paced(*[0.2] * LEAST)
    assert pace.limit(ROWS) == pace.limit(1)
    assert pace.limit(4 * ROWS) == 4 * pace.limit(1)


def test_a_probe_within_the_limit_finds_it_quick_again():
    pace = paced(*[0.001] * LEAST)
    pace.late = True
    assert not pace.probed(2 * FLOOR)
    assert pace.late
    assert pace.probed(FLOOR / 2)
    assert not pace.late


def test_what_has_been_slow_for_minutes_is_usual_from_then_on():
    pace = paced(*[0.001] * LEAST)
    assert [pace.probed(0.5) for _ in range(LASTING)] == [False] * (LASTING - 1) + [True]
    assert pace.limit() == math.inf
    for _ in range(LEAST):
        pace.took(0.5)
    assert pace.limit() == TIMES * 0.5
