"""One run computes at a time; a run that waits lets others compute, and one that hangs loses its turn."""

import threading
import time

import pytest
from cuvee.serving.scheduling.core import Core, Lost


def done(event: threading.Event) -> bool:
    return event.wait(10)


def test_work_is_done_in_turn_by_one_thread_at_a_time():
    core, order, busy, end = Core(), [], [], threading.Event()

    def work(at):
        def one(hold):
            busy.append(at)
            assert len(busy) == 1
            time.sleep(0.001)
            order.append(at)
            busy.clear()
            if at == 19:
                end.set()

        return one

    for at in range(20):
        core.offer(work(at))
    assert done(end)
    assert order == list(range(20))


def test_who_waits_gives_the_core_away_and_comes_back_before_new_work():
    core, order, back, end = Core(), [], threading.Event(), threading.Event()

    def waits(hold):
        order.append("begins")
        with core.released(hold):
            assert done(back)
        order.append("comes back")

    def works(hold):
        order.append("works meanwhile")
        core.offer(late)
        back.set()
        time.sleep(0.05)

    def late(hold):
        order.append("new work")
        end.set()

    core.offer(waits)
    core.offer(works)
    assert done(end)
    assert order == ["begins", "works meanwhile", "comes back", "new work"]


def test_who_hangs_loses_the_core_and_another_goes_on():
    core, gate, gone_on, lost = Core(), threading.Event(), threading.Event(), threading.Event()

    def hangs(hold):
        try:
            with core.watched(hold, 0.02, lambda: lambda again: gone_on.set()):
                assert done(gate)
        except Lost:
            lost.set()
            raise

    core.offer(hangs)
    assert done(gone_on)
    after = threading.Event()
    core.offer(lambda hold: after.set())
    assert done(after)
    gate.set()
    assert done(lost)


def test_what_comes_back_in_time_costs_nobody_anything():
    core, end = Core(), threading.Event()

    def quick(hold):
        with core.watched(hold, 0.05, lambda: pytest.fail("it was in time")):
            pass
        time.sleep(0.1)
        assert not hold.lost
        end.set()

    core.offer(quick)
    assert done(end)


def test_who_keeps_the_core_beyond_all_deadlines_loses_it():
    core, gate, after = Core(), threading.Event(), threading.Event()

    def hangs(hold):
        hold.ends = time.monotonic() + 0.02
        gate.wait(10)

    core.offer(hangs)
    core.offer(lambda hold: after.set())
    assert done(after)
    gate.set()


def test_threads_that_nobody_needs_any_more_end_and_one_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cuvee.serving.scheduling.core.IDLE", 0.05)
    core, gate, waiting, after = Core(), threading.Event(), threading.Semaphore(0), threading.Event()

    def waits(hold):
        with core.released(hold):
            waiting.release()
            gate.wait(20)

    for _ in range(6):
        core.offer(waits)
    for _ in range(6):
        assert waiting.acquire(timeout=20)
    assert core._threads >= 6
    gate.set()
    until = time.monotonic() + 20
    while core._threads > 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert core._threads == 1
    core.offer(lambda hold: after.set())
    assert done(after)


def test_an_error_in_one_piece_of_work_is_not_the_end_of_the_others():
    core, after = Core(), threading.Event()
    core.offer(lambda hold: 1 / 0)
    core.offer(lambda hold: after.set())
    assert done(after)
