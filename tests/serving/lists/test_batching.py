import asyncio
import threading
import time

import pytest
from cuvee.errors import DeadlineExceeded, Overloaded
from cuvee.serving.lists.batching import BATCH, Batcher
from cuvee.serving.lists.core import Core


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
    """The core, kept until the event is set: what is asked meanwhile waits."""
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
    waiting = [asyncio.ensure_future(batcher.ask(i, "a", soon())) for i in range(60)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await batcher.ask(1000, "a", soon(0.5))
    assert refused.value.retry_after > 0.5
    gate.set()
    await asyncio.gather(*waiting)
    assert await batcher.ask(1, "a", soon(0.5)) == 10


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
