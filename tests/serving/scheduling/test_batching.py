import asyncio
import gc
import threading
import time
import weakref

import pytest
from cuvee.errors import CuveeError, DeadlineExceeded, Overloaded
from cuvee.serving.scheduling.batching import BATCH, BESIDE, Batcher
from cuvee.serving.scheduling.core import Core


class Recorder:
    """Runs that answer ten times their rows, after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.deadlines: list[float] = []
        self.seconds = seconds
        self.most = self.now = 0

    def __call__(self, rows, deadline, loop):
        def run(hold, again):
            self.batches.append(list(rows))
            self.deadlines.append(deadline)
            self.now += 1
            self.most = max(self.most, self.now)
            time.sleep(self.seconds)
            self.now -= 1
            return [10 * row for row in rows]

        return run


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def held(core: Core) -> threading.Event:
    """Keeps computing until the event is set, so that requests wait meanwhile."""
    gate = threading.Event()
    core.offer(lambda hold: gate.wait(10))
    return gate


async def test_what_waits_while_another_run_computes_is_one_batch():
    run, core = Recorder(), Core()
    batcher = Batcher(core, run)
    gate = held(core)
    asked = asyncio.gather(*(batcher.ask(i, "a", soon()) for i in range(10)))
    await asyncio.sleep(0.05)
    assert batcher.waiting == 10
    gate.set()
    assert await asked == [10 * i for i in range(10)]
    assert run.batches == [list(range(10))]


async def test_what_a_run_holds_is_let_go_without_the_garbage_collector():
    """A run's arrays are megabytes: they were kept until the collector came, which is seldom."""

    class Arrays:
        """Stands for what a run has made."""

    core, made = Core(), []

    def begin(rows, deadline, loop):
        arrays = Arrays()
        made.append(weakref.ref(arrays))

        def run(hold, again):
            with core.watched(hold, 5.0, lambda: (arrays, again)):
                return [(row, arrays)[0] for row in rows]

        return run

    batcher = Batcher(core, begin)
    gc.disable()
    try:
        assert await asyncio.gather(*(batcher.ask(i, "a", soon()) for i in range(5))) == list(range(5))
        assert await batcher.ask_many([1, 2], soon()) == [1, 2]
        until = soon()
        while any(one() is not None for one in made) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert len(made) >= 2
        assert all(one() is None for one in made)
    finally:
        gc.enable()


async def test_kinds_stay_apart_and_batches_are_bounded():
    run, core = Recorder(), Core()
    batcher = Batcher(core, run)
    gate = held(core)
    asked = asyncio.gather(*(batcher.ask(i, i % 2, soon()) for i in range(2 * BATCH + 20)))
    await asyncio.sleep(0.05)
    gate.set()
    await asked
    assert all(len({row % 2 for row in batch}) == 1 for batch in run.batches)
    assert max(len(batch) for batch in run.batches) == BATCH
    assert sorted(row for batch in run.batches for row in batch) == list(range(2 * BATCH + 20))


async def test_one_run_computes_at_a_time_whichever_batcher_it_is_of():
    run, core = Recorder(0.01), Core()
    two = Batcher(core, run), Batcher(core, run)
    await asyncio.gather(*(two[i % 2].ask(i, i, soon()) for i in range(12)))
    assert run.most == 1


async def test_a_hurried_caller_does_not_hurry_the_others():
    run, core = Recorder(), Core()
    batcher = Batcher(core, run)
    gate = held(core)
    asked = asyncio.gather(batcher.ask(0, "a", soon(0.5)), batcher.ask(1, "a", soon(5)), batcher.ask(2, "a", soon(5)))
    await asyncio.sleep(0.05)
    gate.set()
    await asked
    assert sorted(run.batches) == [[0], [1, 2]]


async def test_one_whose_turn_comes_too_late_is_told_and_one_that_left_is_left_out():
    run, core = Recorder(), Core()
    batcher = Batcher(core, run)
    gate = held(core)
    late = asyncio.ensure_future(batcher.ask(1, "a", soon(0.02)))
    gone = asyncio.ensure_future(batcher.ask(2, "a", soon()))
    there = asyncio.ensure_future(batcher.ask(3, "a", soon()))
    await asyncio.sleep(0.05)
    gone.cancel()
    gate.set()
    with pytest.raises(DeadlineExceeded):
        await late
    assert await there == 30
    assert run.batches == [[3]]
    assert batcher.waiting == 0


async def test_what_cannot_be_answered_in_time_is_refused_at_once():
    run, core = Recorder(0.05), Core()
    batcher = Batcher(core, run)
    for i in range(40):  # the mean time of a row is learnt
        await batcher.ask(i, "a", soon())
    gate = held(core)
    # on a busy machine a row takes several times as long, and that is learnt, too
    waiting = [asyncio.ensure_future(batcher.ask(i, "a", soon(600))) for i in range(60)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await batcher.ask(1000, "a", soon(0.5))
    assert refused.value.retry_after > 0.5
    gate.set()
    await asyncio.gather(*waiting)
    assert await batcher.ask(1, "a", soon(600)) == 10


async def test_a_batch_of_the_callers_own_is_a_run_of_its_own():
    run, core = Recorder(), Core()
    batcher = Batcher(core, run)
    alone = asyncio.ensure_future(batcher.ask(7, "a", soon()))
    assert await batcher.ask_many([1, 2, 3], soon()) == [10, 20, 30]
    assert await alone == 70
    assert sorted(run.batches) == [[1, 2, 3], [7]]


async def test_a_run_that_fails_fails_for_each_of_its_rows_and_for_no_other():
    def begin(rows, deadline, loop):
        def run(hold, again):
            return [LookupError("unlucky") if row == 13 else row for row in rows]

        return run

    batcher = Batcher(Core(), begin)
    found = await asyncio.gather(*(batcher.ask(i, "a", soon()) for i in range(20)), return_exceptions=True)
    assert [i for i, one in enumerate(found) if isinstance(one, LookupError)] == [13]


class Away:
    """Runs that wait, so that others may compute, until the test releases them."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.batches: list[int] = []
        self.gates: list[threading.Event] = []

    def __call__(self, rows, deadline, loop):
        def run(hold, again):
            gate = threading.Event()
            self.gates.append(gate)
            self.batches.append(len(rows))
            with self.core.released(hold):
                gate.wait(10)
            return rows

        return run

    async def begun(self, n: int) -> None:
        async with asyncio.timeout(10):
            while len(self.batches) < n:
                await asyncio.sleep(0.001)


async def test_beside_a_run_that_waits_another_begins_only_with_as_many_rows():
    """Otherwise each request that arrives while a model server is asked would become a run of its own."""
    core = Core()
    away = Away(core)
    batcher = Batcher(core, away)
    gate = held(core)
    first = [asyncio.ensure_future(batcher.ask(i, "a", soon())) for i in range(8)]
    await asyncio.sleep(0.02)
    gate.set()
    await away.begun(1)
    fewer = [asyncio.ensure_future(batcher.ask(i, "a", soon())) for i in range(3)]
    asked = time.monotonic()
    await away.begun(2)
    assert away.batches == [8, 3]
    assert time.monotonic() - asked > BESIDE / 2, "a run that takes long keeps nobody, though"
    for one in away.gates:
        one.set()
    assert await asyncio.gather(*first, *fewer) == [*range(8), *range(3)]


async def test_a_run_that_ends_lets_those_begin_that_wait():
    core = Core()
    away = Away(core)
    batcher = Batcher(core, away)
    asked = [asyncio.ensure_future(batcher.ask(0, "a", soon()))]
    await away.begun(1)
    asked.append(asyncio.ensure_future(batcher.ask(1, "a", soon())))
    await away.begun(2)  # as many as are on their way: it begins at once
    asked.append(asyncio.ensure_future(batcher.ask(2, "a", soon())))
    await asyncio.sleep(0.005)
    away.gates[0].set()
    await away.begun(3)
    for one in away.gates:
        one.set()
    assert await asyncio.gather(*asked) == [0, 1, 2]


FAULTS = [RuntimeError("unforeseen"), MemoryError(), SystemExit(1), KeyboardInterrupt(), RecursionError()]


@pytest.mark.parametrize("where", ["begins", "runs", "answers too few"])
@pytest.mark.parametrize("problem", FAULTS, ids=lambda one: type(one).__name__)
async def test_an_unforeseen_failure_is_told_to_each_at_once_and_the_next_batch_is_answered(where, problem):
    broken = True

    def begin(rows, deadline, loop):
        if broken and where == "begins":
            raise problem

        def run(hold, again):
            if broken and where == "runs":
                raise problem
            return list(rows)[: 1 if broken and where == "answers too few" else None]

        return run

    core = Core()
    batcher = Batcher(core, begin)
    gate = held(core)
    asked = [asyncio.ensure_future(batcher.ask(i, "a", soon(600))) for i in range(5)]
    await asyncio.sleep(0.02)
    gate.set()
    found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
    assert all(isinstance(one, Exception) and not isinstance(one, CuveeError) for one in found)
    many = await asyncio.wait_for(batcher.ask_many([1, 2], soon(600)), 30)
    assert [isinstance(one, Exception) for one in many] == [True, True]
    broken = False
    assert await asyncio.wait_for(batcher.ask(7, "a", soon(600)), 30) == 7
    assert batcher.waiting == 0


async def test_a_run_is_told_who_still_waits():
    seen, asked, gate = [], threading.Event(), threading.Event()

    def begin(rows, deadline, loop):
        def run(hold, again):
            asked.set()
            gate.wait(10)
            seen.append([hold.wants(at) for at in range(len(rows))])
            return list(rows)

        return run

    for gone in ([0], [0, 1]):
        asked.clear(), gate.clear()
        core = Core()
        batcher = Batcher(core, begin)
        first = held(core)
        waiting = [asyncio.ensure_future(batcher.ask(i, "a", soon())) for i in range(2)]
        await asyncio.sleep(0.02)
        first.set()
        await asyncio.to_thread(asked.wait, 10)
        for at in gone:
            waiting[at].cancel()
        await asyncio.sleep(0.02)
        gate.set()
        await asyncio.wait(waiting)
    await asyncio.sleep(0.05)
    assert seen == [[False, True], [False, False]]
