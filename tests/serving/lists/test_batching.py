import asyncio
import time

import pytest
from cuvee.errors import DeadlineExceeded
from cuvee.serving.lists.batching import BATCH, Batcher


class Recorder:
    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.deadlines: list[float] = []
        self.seconds = seconds
        self.most = self.now = 0

    async def __call__(self, rows, deadline):
        self.batches.append(list(rows))
        self.deadlines.append(deadline)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= 1
        return [10 * row for row in rows]


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


async def test_what_comes_together_is_answered_together():
    run = Recorder()
    batcher = Batcher(run, 2)
    assert await asyncio.gather(*(batcher.ask(i, "a", soon()) for i in range(10))) == [10 * i for i in range(10)]
    assert run.batches == [list(range(10))]


async def test_kinds_stay_apart_and_batches_are_bounded():
    run = Recorder()
    batcher = Batcher(run, 4)
    await asyncio.gather(*(batcher.ask(i, i % 2, soon()) for i in range(2 * BATCH + 20)))
    assert all(len({row % 2 for row in batch}) == 1 for batch in run.batches)
    assert max(len(batch) for batch in run.batches) == BATCH
    assert sorted(row for batch in run.batches for row in batch) == list(range(2 * BATCH + 20))


async def test_at_most_so_many_runs_at_a_time_and_what_waits_meanwhile_gathers():
    run = Recorder(0.05)
    batcher = Batcher(run, 2)
    calls = []
    for i in range(12):
        calls.append(asyncio.ensure_future(batcher.ask(i, "a", soon())))
        await asyncio.sleep(0.001)
    await asyncio.gather(*calls)
    assert run.most == 2
    assert [len(batch) for batch in run.batches[:2]] == [1, 1]
    assert len(run.batches) == 3


async def test_a_hurried_caller_does_not_hurry_the_others():
    run = Recorder()
    batcher = Batcher(run, 4)
    await asyncio.gather(batcher.ask(0, "a", soon(0.05)), batcher.ask(1, "a", soon(5)), batcher.ask(2, "a", soon(5)))
    assert sorted(run.batches) == [[0], [1, 2]]


async def test_one_whose_turn_comes_too_late_is_told_and_one_that_left_is_left_out():
    run = Recorder(0.1)
    batcher = Batcher(run, 1)
    first = asyncio.ensure_future(batcher.ask(0, "a", soon()))
    await asyncio.sleep(0.01)
    late = asyncio.ensure_future(batcher.ask(1, "a", soon(0.02)))
    gone = asyncio.ensure_future(batcher.ask(2, "a", soon()))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert await first == 0
    with pytest.raises(DeadlineExceeded):
        await late
    assert await batcher.ask(3, "a", soon()) == 30
    assert run.batches == [[0], [3]]


async def test_a_run_that_fails_fails_for_each_of_its_rows_and_for_no_other():
    async def run(rows, deadline):
        if 13 in rows:
            raise LookupError("unlucky")
        return rows

    batcher = Batcher(run, 2)
    found = await asyncio.gather(*(batcher.ask(i, i == 13, soon()) for i in range(20)), return_exceptions=True)
    assert [i for i, one in enumerate(found) if isinstance(one, LookupError)] == [13]
