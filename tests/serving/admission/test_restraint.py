"""Refusals with a reason are so many a second; beyond, the loop pauses, and never for long."""

from __future__ import annotations

import pytest
from cuvee.config.limits import Limits
from cuvee.errors import Overloaded, RateLimited
from cuvee.serving.admission import desk
from cuvee.serving.admission.restraint import AT_ONCE, LONGEST, Restraint
from cuvee.serving.telemetry.figures import Figures
from hypothesis import given
from hypothesis import strategies as st


class Loop:
    """A clock that pauses move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@given(rate=st.integers(1, 5000), gaps=st.lists(st.floats(0, 0.01), min_size=1, max_size=300))
def test_so_many_a_second_and_a_burst(rate: int, gaps: list[float]):
    loop = Loop()
    restraint = Restraint(rate, loop.sleep, lambda: loop.now)
    began = loop.now
    for n, gap in enumerate(gaps, 1):
        loop.now += gap
        restraint.refused()
        if n <= AT_ONCE:
            assert not loop.pauses, "a burst is told why at once"
        if rate * LONGEST >= 1:  # else a single pause is shorter than what it should be
            assert n <= AT_ONCE + (loop.now - began) * rate + 1e-3
    assert max(loop.pauses, default=0.0) <= LONGEST


def test_after_a_quiet_time_there_is_no_pause():
    loop = Loop()
    restraint = Restraint(200, loop.sleep, lambda: loop.now)
    for _ in range(3 * AT_ONCE):
        restraint.refused()
    assert loop.pauses
    loop.now += AT_ONCE / 200 + 1
    before = len(loop.pauses)
    for _ in range(AT_ONCE):
        restraint.refused()
    assert len(loop.pauses) == before


def test_who_asks_more_often_than_he_may_makes_nobody_else_wait(monkeypatch: pytest.MonkeyPatch):
    counted: list[int] = []

    class Counting(Restraint):
        def refused(self) -> None:
            counted.append(1)

    monkeypatch.setattr(desk, "Restraint", Counting)
    found = desk.Desk(Limits(), {}, Figures())
    found.refused("reads", RateLimited("too often", 1.0))
    assert not counted
    found.refused("reads", Overloaded("too many", 1.0))
    assert len(counted) == 1
