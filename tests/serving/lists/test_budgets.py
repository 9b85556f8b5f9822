import asyncio
import threading
import time

import pytest
from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.plan import Source
from cuvee.serving.lists.budgets import Budget


def source(timeout: float | None = None) -> Source:
    return Source("one", None, 10, timeout, "1")


def budget(slots: int = 2, patience: float = 0.05) -> Budget:
    return Budget("shop", slots, patience)


def degraded(reason: DegradedReason) -> list[Report]:
    return [Report("one", Status.DEGRADED, reason)]


LIVE = [Report("one", Status.LIVE)]


async def asked(ask, method, *args, timeout: float | None = None):
    with pytest.raises(SourceFailure) as failure:
        await ask(source(timeout), method, *args)
    return failure.value.degraded


async def test_plain_functions_run_in_a_thread_and_async_ones_on_the_loop():
    async def where():
        return threading.current_thread()

    ask = budget().ask(time.monotonic() + 1)
    assert await ask(source(), where) is threading.current_thread()
    assert await ask(source(), threading.current_thread) is not threading.current_thread()


async def test_each_call_takes_at_most_half_of_what_is_left():
    deadline = time.monotonic() + 1.0
    ask = budget(slots=8).ask(deadline)
    for _ in range(3):
        left = deadline - time.monotonic()
        with pytest.raises(SourceFailure) as failure:
            await ask(source(), time.sleep, 10)
        assert failure.value.degraded is DegradedReason.TIMEOUT
        granted = float(failure.value.detail.removeprefix("no answer within ").removesuffix(" ms")) / 1e3
        assert 0 < granted <= left / 2 + 0.001


async def test_a_sources_own_timeout_counts_where_it_is_shorter():
    with pytest.raises(SourceFailure, match="no answer within 50 ms"):
        await budget().ask(time.monotonic() + 5)(source(timeout=0.05), time.sleep, 1)


async def test_without_time_it_is_not_asked_at_all():
    called = []
    assert await asked(budget().ask(time.monotonic()), called.append, 1) is DegradedReason.TIMEOUT
    assert not called


async def test_one_on_the_loop_that_does_not_stop_is_not_waited_for():
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    started = time.monotonic()
    assert await asked(budget().ask(started + 5), stubborn, timeout=0.05) is DegradedReason.TIMEOUT
    assert time.monotonic() - started < 2


async def test_stuck_calls_use_up_their_own_slots_alone():
    one = budget(slots=2)
    gate = threading.Event()
    for _ in range(2):
        assert await asked(one.ask(time.monotonic() + 5), gate.wait, timeout=0.02) is DegradedReason.TIMEOUT
    assert await asked(one.ask(time.monotonic() + 5), gate.wait, timeout=0.02) is DegradedReason.OVERLOADED
    other = Source("other", None, 10, None, "1")
    assert await one.ask(time.monotonic() + 5)(other, lambda: "well") == "well"
    gate.set()


async def test_async_calls_take_slots_too():
    one = budget(slots=2)
    forever = asyncio.Event()
    calls = [asyncio.ensure_future(one.ask(time.monotonic() + 5)(source(0.2), forever.wait)) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert await asked(one.ask(time.monotonic() + 5), forever.wait) is DegradedReason.OVERLOADED
    forever.set()
    await asyncio.gather(*calls)


@pytest.mark.parametrize(
    "reason",
    [DegradedReason.ERROR, DegradedReason.INVALID_OUTPUT, DegradedReason.UNAVAILABLE, DegradedReason.TIMEOUT],
)
async def test_the_circuit_opens_after_five_bad_runs_whatever_was_bad(reason):
    one = budget()
    for _ in range(5):
        ask = one.ask(time.monotonic() + 1)
        await ask(source(), lambda: "whatever it was, it is judged later")
        ask.settle(degraded(reason))
    assert await asked(one.ask(time.monotonic() + 1), lambda: 1) is DegradedReason.CIRCUIT_OPEN


@pytest.mark.parametrize("reports", [LIVE, degraded(DegradedReason.OVERLOADED), degraded(DegradedReason.EMPTY), []])
async def test_the_circuit_stays_closed_for_what_is_no_fault(reports):
    one = budget()
    for _ in range(10):
        ask = one.ask(time.monotonic() + 1)
        assert await ask(source(), lambda: 1) == 1
        ask.settle(reports)


async def test_a_source_that_answers_and_then_fails_in_one_run_has_failed():
    one = budget()
    for _ in range(5):
        ask = one.ask(time.monotonic() + 1)
        await ask(source(), lambda: 1)
        await ask(source(), lambda: 2)
        ask.settle([*LIVE, *degraded(DegradedReason.ERROR)])
    assert await asked(one.ask(time.monotonic() + 1), lambda: 1) is DegradedReason.CIRCUIT_OPEN


async def test_a_caller_in_a_hurry_opens_no_circuit():
    one = budget(slots=64, patience=0.5)
    for _ in range(10):
        ask = one.ask(time.monotonic() + 0.02)
        assert await asked(ask, time.sleep, 0.1) is DegradedReason.TIMEOUT
        ask.settle(degraded(DegradedReason.TIMEOUT))
    assert await one.ask(time.monotonic() + 1)(source(), lambda: 1) == 1
