"""Lanes are bounded and fair, and refuse what cannot be answered in time."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from cuvee.config.limits import Connections, LaneLimits, Lanes, Limits
from cuvee.errors import Overloaded
from cuvee.serving.admission.lanes import LANES, Lane
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2, recommendation_pb2

LATE = 60.0


def lane(in_flight: int = 1, waiting: int = 10, patience: str = "10s") -> Lane:
    return Lane("test", LaneLimits(in_flight=in_flight, waiting=waiting, patience=patience))


async def waiting(one: Lane, client: str, seconds: float = LATE) -> asyncio.Task[None]:
    task = asyncio.ensure_future(one.wait(client, time.monotonic() + seconds))
    await asyncio.sleep(0)
    return task


async def let_in(one: Lane, tasks: dict[str, asyncio.Task[None]], took: float = 0.0) -> list[str]:
    """A call leaves; the names of those that were let in by that."""
    before = {name for name, task in tasks.items() if task.done()}
    one.leave(took)
    await asyncio.sleep(0)
    return [name for name, task in tasks.items() if task.done() and name not in before]


def test_every_rpc_has_a_lane_and_every_lane_a_limit():
    files = (recommendation_pb2, events_pb2, catalog_pb2, admin_pb2)
    rpcs = {
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(LANES) == rpcs
    assert set(LANES.values()) == set(Lanes.model_fields)


async def test_clients_take_turns_whoever_has_more_calls():
    one = lane()
    assert one.enter()
    tasks = {f"noisy {n}": await waiting(one, "noisy") for n in range(5)}
    tasks["polite"] = await waiting(one, "polite")
    order = [(await let_in(one, tasks))[0] for _ in range(4)]
    assert order == ["noisy 0", "polite", "noisy 1", "noisy 2"]
    for task in tasks.values():
        task.cancel()


async def test_a_full_queue_makes_room_for_who_has_few_calls_and_for_nobody_else():
    one = lane(waiting=4)
    assert one.enter()
    tasks = {f"noisy {n}": await waiting(one, "noisy") for n in range(4)}
    with pytest.raises(Overloaded):
        await one.wait("noisy", time.monotonic() + LATE)
    tasks["polite"] = await waiting(one, "polite")
    with pytest.raises(Overloaded):
        await tasks["noisy 3"]
    assert not tasks["polite"].done()
    assert one.waiting == 4
    for task in tasks.values():
        task.cancel()


async def test_what_would_come_too_late_is_refused_when_it_comes():
    one = lane(in_flight=2)
    for _ in range(200):
        assert one.enter()
        one.leave(1.0)
    assert one.enter()
    assert one.enter()
    began = time.monotonic()
    with pytest.raises(Overloaded) as refused:
        await one.wait("somebody", time.monotonic() + 0.5)
    assert time.monotonic() - began < 0.2
    assert 0.01 <= refused.value.retry_after <= 10
    task = await waiting(one, "somebody")
    one.leave(1.0)
    await task


async def test_longer_than_the_lanes_patience_nobody_waits():
    one = lane(waiting=1000, patience="10ms")
    for _ in range(200):
        assert one.enter()
        one.leave(1.0)
    assert one.enter()
    only = await waiting(one, "somebody")
    assert not only.done(), "a client's only call waits as long as its deadline allows"
    with pytest.raises(Overloaded):
        await one.wait("somebody", time.monotonic() + LATE)
    assert one.refused == 1
    only.cancel()


async def test_a_head_that_would_miss_its_deadline_is_shed_and_the_next_let_in():
    one = lane()
    assert one.enter()
    short, long = await waiting(one, "short", 0.05), await waiting(one, "long")
    await asyncio.sleep(0.1)
    one.leave(0.1)
    with pytest.raises(Overloaded):
        await short
    await long
    assert (one.in_flight, one.waiting) == (1, 0)


async def test_whoever_gives_up_leaves_nothing_behind():
    one = lane()
    assert one.enter()
    tasks = [await waiting(one, f"client {n % 3}") for n in range(9)]
    for task in tasks[:-1]:
        task.cancel()
    await asyncio.gather(*tasks[:-1], return_exceptions=True)
    assert one.waiting == 1
    one.leave(0.0)  # lets the last one in, which is given up at the same moment
    tasks[-1].cancel()
    await asyncio.gather(tasks[-1], return_exceptions=True)
    assert (one.in_flight, one.waiting) == (0, 0)


async def test_pressure_is_how_near_it_is_to_refusing():
    one = lane(waiting=4)
    assert one.pressure == 0
    assert one.enter()
    assert one.pressure == 0, "all places are taken, and nobody waits"
    tasks = []
    for n in range(1, 5):
        tasks.append(await waiting(one, f"client {n}"))
        assert one.pressure == n / 4
    slow = lane(waiting=1000, patience="1s")
    for _ in range(200):
        assert slow.enter()
        slow.leave(0.5)
    assert slow.enter()
    tasks += [await waiting(slow, "a"), await waiting(slow, "b")]
    assert slow.pressure == pytest.approx(1.0, abs=0.01), "two wait half a second each, and that is the lane's patience"
    for task in tasks:
        task.cancel()


async def test_calls_are_left_where_they_are_while_many_wait_unless_they_get_too_old_there():
    one = lane(waiting=4)
    assert one.hold == 0
    assert one.enter()
    tasks = [await waiting(one, f"client {n}") for n in range(3)]
    assert one.pressure > 0.5
    assert one.hold == 0.005
    one.late()
    assert one.hold == 0.0025
    for _ in range(10):
        one.late()
    assert one.hold == 0, "they are taken in as fast as they come"
    for _ in range(1000):
        one.in_time()
    assert one.hold == 0.005
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert one.hold == 0


async def test_who_comes_too_late_has_the_others_taken_in_sooner():
    one = lane(waiting=4)
    for _ in range(200):
        assert one.enter()
        one.leave(1.0)
    assert one.enter()
    tasks = [await waiting(one, f"client {n}") for n in range(3)]
    before = one.hold
    with pytest.raises(Overloaded):
        await one.wait("old", time.monotonic() + 0.1)
    assert 0 < one.hold < before
    for task in tasks:
        task.cancel()


def test_every_limit_is_in_the_handbook():
    text = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()
    named = {word for part in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", part)}
    for table in (Limits, Lanes, LaneLimits, Connections):
        assert set(table.model_fields) <= named, table
