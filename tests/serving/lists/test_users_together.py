"""Users are read together, by one statement for all waiting requests; each answer has the data of when it was asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cuvee.client import Client
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow, UserRow, UserState
from cuvee.errors import DegradedReason, UnavailableError
from cuvee.serving.lists.users import StoredUsers, StoreFailed
from cuvee.serving.telemetry.figures import Figures
from cuvee.testing.server import RunningServer
from cuvee.v1 import events_pb2

from ..conftest import migrated


class Watched(Store):
    """A real store that counts its statements, and can be told to delay them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked: list[list[str]] = []
        self.read: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.problem: Exception | None = None

    def states(self, product: str, user_ids: Any) -> Any:
        self.asked.append(sorted(user_ids))
        # found before the gate: whoever comes while it is closed must not get what was found for others
        found = super().states(product, user_ids)
        self.gate.wait(10)
        if self.problem:
            raise self.problem
        return found

    def histories(self, product: str, user_ids: Any) -> Any:
        self.read.append(sorted(user_ids))
        return super().histories(product, user_ids)


def event(owner: str, n: int = 0) -> EventRow:
    return EventRow("films", f"{owner}-{n}", owner, f"film-{n}", 2, 0.0, 1_000 + n, 1_000 + n)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(Database(located(migrated(f"sqlite:///{tmp_path / 'store.db'}"), tmp_path), timeout=10.0))
    yield found
    found.gate.set()
    found.close()


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + 4 * seconds


async def until(check: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not check():
        assert time.monotonic() < ends, "it never came to that"
        await asyncio.sleep(0.005)


def test_who_comes_together_is_read_by_one_statement(store: Watched) -> None:
    store.write_events([event("ann"), event("bob"), event("bob", 1)])

    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        names = ["ann", "bob", "nobody", "", "ann", "nul\0nul"]
        found = await asyncio.gather(*(users.read("films", name, soon()) for name in names))
        assert store.asked == [["", "ann", "bob", "nobody"]]
        assert store.read == [["ann", "bob"]]
        assert [len(known.history) for known, _ in found] == [1, 2, 0, 0, 1, 0]
        assert [known.stamp is None for known, _ in found] == [False, False, True, True, False, True]
        again = await asyncio.gather(*(users.read("films", name, soon()) for name in names))
        assert len(store.asked) == 2
        assert len(store.read) == 1, "nothing has changed"
        assert [known for known, _ in again] == [known for known, _ in found]
        users.close()

    asyncio.run(work())


def test_who_comes_while_a_statement_runs_is_read_by_a_later_one(store: Watched) -> None:
    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        store.gate.clear()
        first = asyncio.ensure_future(users.read("films", "ann", soon()))
        await until(lambda: len(store.asked) == 1)
        # acknowledged now: whoever asks from now on must see it, though a statement about her is running
        store.write_events([event("ann")])
        later = [asyncio.ensure_future(users.read("films", "ann", soon())) for _ in range(5)]
        await asyncio.sleep(0)
        store.gate.set()
        assert len((await first)[0].history) == 0
        assert [len(known.history) for known, _ in await asyncio.gather(*later)] == [1] * 5
        assert len(store.asked) < 4, "those who wait are read together"
        users.close()

    asyncio.run(work())


def test_a_statement_that_hangs_holds_up_nobody_else(store: Watched) -> None:
    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        store.gate.clear()
        stuck = asyncio.ensure_future(users.read("films", "ann", soon()))
        await until(lambda: len(store.asked) == 1)
        late = asyncio.ensure_future(users.read("films", "bob", time.monotonic() + 0.4))
        await until(lambda: len(store.asked) == 2)
        with pytest.raises(StoreFailed) as failed:
            await late
        assert failed.value.reason is DegradedReason.TIMEOUT
        store.gate.set()
        assert (await stuck)[0].stamp is None
        users.close()

    asyncio.run(work())


def test_each_waits_no_longer_than_his_own_deadline_allows(store: Watched) -> None:
    async def work() -> None:
        users = StoredUsers(store, 1, Figures())
        store.gate.clear()
        patient = asyncio.ensure_future(users.read("films", "ann", soon()))
        hasty = asyncio.ensure_future(users.read("films", "bob", time.monotonic() + 0.2))
        with pytest.raises(StoreFailed):
            await hasty
        assert not patient.done()
        store.gate.set()
        await patient
        users.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("problem", "reason"),
    [(UnavailableError("away"), DegradedReason.UNAVAILABLE), (ValueError("secret"), DegradedReason.ERROR)],
    ids=["away", "broken"],
)
def test_a_failure_is_told_to_all_and_costs_nobody_what_was_read_last(
    store: Watched, problem: Exception, reason: DegradedReason
) -> None:
    store.write_events([event("ann")])

    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        await users.read("films", "ann", soon())
        store.problem = problem
        for _ in range(6):
            names = ["ann", "bob", "ann"]
            found = await asyncio.gather(*(users.read("films", n, soon()) for n in names), return_exceptions=True)
            failures = [one for one in found if isinstance(one, StoreFailed)]
            assert [len(one.known.history) for one in failures] == [1, 0, 1]
            assert len({one.reason for one in failures}) == 1
            assert all("secret" not in one.detail for one in failures)
        assert failures[0].reason is DegradedReason.CIRCUIT_OPEN, "five failed statements in a row"
        assert len(store.asked) == 1 + 5
        assert reason is not DegradedReason.CIRCUIT_OPEN
        users.close()

    asyncio.run(work())


def test_a_caller_who_goes_away_takes_nobody_along(store: Watched) -> None:
    store.write_events([event("ann")])

    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        store.gate.clear()
        both = [asyncio.ensure_future(users.read("films", "ann", soon())) for _ in range(2)]
        await until(lambda: len(store.asked) == 1)
        both[0].cancel()
        store.gate.set()
        assert len((await both[1])[0].history) == 1
        with pytest.raises(asyncio.CancelledError):
            await both[0]
        users.close()

    asyncio.run(work())


def test_who_was_forgotten_is_nobody_to_the_very_next_read(store: Watched) -> None:
    store.write_events([event("ann")])
    store.write_users("films", [("ann", lambda _: UserRow("ann", {"age": 3.0}))])

    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        known, _ = await users.read("films", "ann", soon())
        assert known.profile is not None
        assert users.held("films", "ann") == 1
        store.forget("films", "ann", imported=True)
        known, _ = await users.read("films", "ann", soon())
        assert (known.stamp, known.forgotten, len(known.history), known.profile) == (None, True, 0, None)
        assert users.held("films", "ann") == 0
        users.close()

    asyncio.run(work())
    assert store.state("films", "ann") == UserState(None, forgotten=True, revision=0)


def test_a_glance_tells_what_holds_of_all_by_one_statement(store: Watched) -> None:
    store.write_events([event("ann"), event("bob")])

    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        names = ["ann", "nobody", "", "ann", "nul\0nul"]
        found, _ = users.glance("films", names) or ([], 0)
        assert [one is None for one in found] == [True, False, False, True, False], "nothing is cached of ann yet"
        await asyncio.gather(*(users.read("films", name, soon()) for name in ("ann", "bob")))
        before = len(store.asked)
        found, revision = users.glance("films", ["ann", "bob", "nobody"]) or ([], 0)
        assert len(store.asked) == before + 1
        assert [one is not None and len(one.history) for one in found] == [1, 1, 0]
        assert revision == 0
        store.write_events([event("bob", 1)])
        found, _ = users.glance("films", ["ann", "bob"]) or ([], 0)
        assert [one is None for one in found] == [False, True], "bob's stamp has changed"
        assert len((await users.read("films", "bob", soon()))[0].history) == 2
        users.close()

    asyncio.run(work())


@pytest.mark.parametrize("problem", [UnavailableError("away"), ValueError("secret")], ids=["away", "broken"])
def test_no_glance_at_a_store_that_fails_until_it_is_quick_again(store: Watched, problem: Exception) -> None:
    async def work() -> None:
        users = StoredUsers(store, 4, Figures())
        store.problem = problem
        assert users.glance("films", ["ann"]) is None
        before = len(store.asked)
        assert users.glance("films", ["ann"]) is None
        assert len(store.asked) == before, "it is not asked a second time"
        store.problem = None
        for _ in range(200):
            await users.read("films", "ann", soon())
            if users.near:
                break
        assert users.glance("films", ["ann"]) is not None
        users.close()

    asyncio.run(work())


def test_every_acknowledged_event_is_in_the_very_next_list_of_any_process_under_load(
    stored_server: RunningServer, other: Client, new_id: str
) -> None:
    """Sixteen callers at once write and ask in turn, each answer from another process than the one before."""

    def caller(n: int) -> list[str]:
        user, wrong = f"{new_id}-{n}", []
        with Client(stored_server.address) as here:
            for step in range(6):
                item = f"film-{(7 * n + step) % 100:03d}"
                wanted = events_pb2.Event(
                    product="toy", user_id=user, item_id=item, type=events_pb2.EVENT_TYPE_CLICK,
                    event_id=f"{user}-{step}",
                )  # fmt: skip
                here.events.WriteEvents(events_pb2.WriteEventsRequest(events=[wanted]), timeout=20)
                asked = other if step % 2 else here
                answer = asked.recommend("toy", user, page_size=30, timeout=20)
                seen = {f"film-{(7 * n + before) % 100:03d}" for before in range(step + 1)}
                stored = [source for source in answer.sources if source.source == "store"]
                if not stored and (not answer.user_known or seen & {one.item_id for one in answer.items}):
                    wrong.append(f"{user} after {step + 1} events")
        return wrong

    with ThreadPoolExecutor(16) as pool:
        assert [line for lines in pool.map(caller, range(16)) for line in lines] == []
