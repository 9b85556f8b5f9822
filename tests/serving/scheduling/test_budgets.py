import asyncio
import threading
import time

import pytest
from cuvee.errors import DegradedReason
from cuvee.ranking.ask import Call, Report, Status
from cuvee.ranking.plan import Source
from cuvee.serving.scheduling.budgets import QUICK, Budget
from cuvee.serving.scheduling.core import Core


def source(timeout: float | None = None, name: str = "one") -> Source:
    return Source(name, None, 10, timeout, "1")


def call(method, *args, timeout=None, name="one") -> Call:
    return Call(source(timeout, name), method, args, lambda value: value)


def budget(slots: int = 2, patience: float = 0.05) -> Budget:
    return Budget("shop", Core(), slots, patience)


def degraded(reason: DegradedReason) -> list[Report]:
    return [Report("one", Status.DEGRADED, reason)]


LIVE = [Report("one", Status.LIVE)]


async def ask(one: Budget, *calls: Call, seconds: float = 5.0, settle=None):
    """The replies to calls in a run of their own, which starts again where it has to."""
    loop = asyncio.get_running_loop()
    asking = one.ask(time.monotonic() + seconds, loop)
    found: asyncio.Future = loop.create_future()

    def work(hold):
        asking.begin(hold, work)
        replies = asking(calls)
        if settle is not None:
            asking.settle(settle)
        loop.call_soon_threadsafe(found.set_result, replies)

    one.core.offer(work)
    return await found


async def reason(one: Budget, *args, **kwargs):
    (reply,) = await ask(one, *args, **kwargs)
    assert reply.value is None
    return reply.report.reason


async def test_plain_functions_run_on_the_core_and_async_ones_on_the_loop():
    async def where():
        return threading.current_thread()

    first, second = await ask(budget(), call(where), call(threading.current_thread, name="two"))
    assert first.value is threading.current_thread()
    assert second.value.name.startswith("core")


async def test_what_waits_begins_first_and_the_others_compute_meanwhile():
    begun = threading.Event()

    async def waits():
        begun.set()
        await asyncio.sleep(0.05)
        return "waited"

    replies = await ask(budget(), call(begun.wait, 5), call(waits, name="two"))
    assert [r.value for r in replies] == [True, "waited"]


@pytest.mark.parametrize("apart", [False, True])
async def test_each_call_takes_at_most_half_of_what_is_left(apart):
    one = budget(slots=8)
    one.callee("one").apart = apart
    (reply,) = await ask(one, call(time.sleep, 10), seconds=1.0)
    assert reply.report.reason is DegradedReason.TIMEOUT
    granted = float(reply.report.detail.removeprefix("no answer within ").removesuffix(" ms")) / 1e3
    assert 0.3 < granted <= 0.501


async def test_a_sources_own_timeout_counts_where_it_is_shorter():
    (reply,) = await ask(budget(), call(time.sleep, 1, timeout=0.05))
    assert reply.report.detail == "no answer within 50 ms"


async def test_without_time_it_is_not_asked_at_all():
    called = []
    assert await reason(budget(), call(called.append, 1), seconds=0) is DegradedReason.TIMEOUT
    assert not called


async def test_one_on_the_loop_that_does_not_stop_is_not_waited_for():
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    started = time.monotonic()
    assert await reason(budget(), call(stubborn, timeout=0.05)) is DegradedReason.TIMEOUT
    assert time.monotonic() - started < 2


async def test_one_that_takes_long_is_heard_all_the_same_and_asked_apart_from_then_on():
    asked = []

    def slow():
        asked.append(threading.current_thread().name)
        time.sleep(0.3)
        return "well"

    one = budget()
    for _ in range(2):
        replies = await ask(one, call(lambda: "quick", name="two"), call(slow))
        assert [r.value for r in replies] == ["quick", "well"]
    assert asked[0].startswith("core")
    assert asked[1].startswith("shop-one")


async def test_one_that_is_quick_again_has_its_place_again():
    one = budget()
    one.callee("one").apart = True
    for _ in range(QUICK[1]):
        await ask(one, call(lambda: 1))
    (reply,) = await ask(one, call(threading.current_thread))
    assert reply.value.name.startswith("core")


async def test_stuck_calls_use_up_their_own_slots_alone():
    one = budget(slots=2)
    gate = threading.Event()
    for _ in range(2):
        assert await reason(one, call(gate.wait, timeout=0.02)) is DegradedReason.TIMEOUT
    assert await reason(one, call(gate.wait, timeout=0.02)) is DegradedReason.OVERLOADED
    (reply,) = await ask(one, call(lambda: "well", name="other"))
    assert reply.value == "well"
    gate.set()


async def test_async_calls_take_slots_too():
    one = budget(slots=2)
    forever = asyncio.Event()
    waiting = [asyncio.ensure_future(ask(one, call(forever.wait, timeout=0.5))) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert await reason(one, call(forever.wait)) is DegradedReason.OVERLOADED
    forever.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("problem", [SystemExit(1), KeyboardInterrupt(), StopIteration(), TimeoutError()])
@pytest.mark.parametrize("apart", [False, True])
async def test_whatever_a_source_raises_is_its_own_failure(problem, apart):
    def end() -> None:
        raise problem

    one = budget()
    one.callee("one").apart = apart
    wanted = DegradedReason.TIMEOUT if isinstance(problem, TimeoutError) else DegradedReason.ERROR
    assert await reason(one, call(end)) is wanted
    (reply,) = await ask(one, call(lambda: "alive"))
    assert reply.value == "alive"


@pytest.mark.parametrize(
    "bad",
    [DegradedReason.ERROR, DegradedReason.INVALID_OUTPUT, DegradedReason.UNAVAILABLE, DegradedReason.TIMEOUT],
)
async def test_the_circuit_opens_after_five_bad_runs_whatever_was_bad(bad):
    one = budget()
    for _ in range(5):
        await ask(one, call(lambda: "whatever it was, it is judged later"), settle=degraded(bad))
    assert await reason(one, call(lambda: 1)) is DegradedReason.CIRCUIT_OPEN


@pytest.mark.parametrize("reports", [LIVE, degraded(DegradedReason.OVERLOADED), degraded(DegradedReason.EMPTY), []])
async def test_the_circuit_stays_closed_for_what_is_no_fault(reports):
    one = budget()
    for _ in range(10):
        (reply,) = await ask(one, call(lambda: 1), settle=reports)
        assert reply.value == 1


async def test_a_source_that_answers_and_then_fails_in_one_run_has_failed():
    one = budget()
    for _ in range(5):
        await ask(one, call(lambda: 1), settle=[*LIVE, *degraded(DegradedReason.ERROR)])
    assert await reason(one, call(lambda: 1)) is DegradedReason.CIRCUIT_OPEN


async def test_a_caller_in_a_hurry_opens_no_circuit():
    one = budget(slots=64, patience=0.5)
    for _ in range(10):
        late = call(time.sleep, 0.1)
        settle = degraded(DegradedReason.TIMEOUT)
        assert await reason(one, late, seconds=0.02, settle=settle) is DegradedReason.TIMEOUT
    (reply,) = await ask(one, call(lambda: 1))
    assert reply.value == 1
