import asyncio
import threading
import time

import pytest
from cuvee.serving.threads import AllTaken, Threads


async def test_values_and_errors_come_back():
    threads = Threads("test", 2)
    assert await threads.submit(lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        await threads.submit(lambda: 1 / 0)
    assert threads.taken == 0
    threads.close()


@pytest.mark.parametrize("problem", [SystemExit(1), KeyboardInterrupt(), StopIteration()])
async def test_what_would_end_a_process_is_an_error_like_others(problem):
    def end() -> None:
        raise problem

    threads = Threads("test", 1)
    with pytest.raises(RuntimeError, match="raised"):
        await threads.submit(end)
    assert await threads.submit(lambda: "alive") == "alive"
    threads.close()


async def test_threads_without_work_end_and_others_take_their_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cuvee.serving.threads.IDLE", 0.05)
    threads, gate = Threads("passing", 4), threading.Event()

    def alive() -> int:
        return sum(one.name.startswith("passing-") for one in threading.enumerate())

    waiting = [threads.submit(gate.wait) for _ in range(4)]
    assert alive() == 4
    gate.set()
    await asyncio.gather(*waiting)
    until = time.monotonic() + 20
    while alive() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert alive() == 0
    for n in range(200):  # some just as a thread ends
        assert await threads.submit(lambda: 7) == 7
        await asyncio.sleep(0.05 if n % 50 == 0 else 0)
    threads.close()


async def test_it_refuses_at_once_when_all_slots_are_taken_and_recovers():
    threads = Threads("test", 2)
    gate = threading.Event()
    waiting = [threads.submit(gate.wait) for _ in range(2)]
    with pytest.raises(AllTaken):
        threads.submit(gate.wait)
    gate.set()
    await asyncio.gather(*waiting)
    assert await threads.submit(lambda: 7) == 7
    threads.close()


async def test_dropping_a_call_frees_its_slot_only_when_it_comes_back():
    threads = Threads("test", 1)
    gate = threading.Event()
    threads.submit(gate.wait).cancel()
    with pytest.raises(AllTaken):
        threads.submit(gate.wait)
    gate.set()
    until = time.monotonic() + 5
    while threads.taken and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert await threads.submit(lambda: 7) == 7
    threads.close()


async def test_calls_in_turn_wait_for_a_slot_but_not_for_ever():
    threads = Threads("test", 2)
    assert await asyncio.gather(*(threads.in_turn(5, lambda i=i: i) for i in range(50))) == list(range(50))
    gate = threading.Event()
    busy = [asyncio.ensure_future(threads.in_turn(5, gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await threads.in_turn(0.05, gate.wait)
    gate.set()
    await asyncio.gather(*busy)
    threads.close()


async def test_threads_are_no_more_than_are_needed():
    threads = Threads("counted", 64)
    for _ in range(20):
        await threads.submit(lambda: None)
    assert sum(t.name.startswith("counted") for t in threading.enumerate()) == 1
    threads.close()
