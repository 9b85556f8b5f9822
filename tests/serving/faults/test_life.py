"""A full disk, a folder that may only be read, clocks that jump: writes fail loudly, lists go on, both come back."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client, failure_of
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2
from reliability.callers import Callers
from reliability.place import ENVIRONMENT


def own_store(ruled: Path, folder: Path, name: str) -> Path:
    """The products with a store in a folder of the test's own."""
    config = ruled.with_name(f"{name}.toml")
    config.write_text(ruled.read_text() + f'\n[store]\nurl = "sqlite:///{folder / "store.db"}"\ntimeout = "1s"\n')
    return config


def event(n: object, text: str = "") -> events_pb2.Event:
    kind = events_pb2.EVENT_TYPE_VIEW
    return events_pb2.Event(
        product="blended", user_id="writer", item_id="film-001", type=kind, event_id=f"e{n}", session_id=text
    )


def write(client: Client, n: object, text: str = "", timeout: float = 8.0) -> str:
    """The code of one write, without the client's retries."""
    try:
        client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event(n, text)]), timeout=timeout)
    except grpc.RpcError as problem:
        assert failure_of(problem).reason in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED"}, problem
        assert "/" not in (problem.details() or "").replace("and/or", "")
        return problem.code().name
    return "OK"


def stored(client: Client) -> set[str]:
    request = catalog_pb2.ExportUserRequest(product="blended", user_id="writer")
    return {one.event.event_id for one in client.catalog.ExportUser(request, timeout=10) if one.HasField("event")}


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it does not come true"
        time.sleep(0.1)
    return time.monotonic() - began


def suffers(server: RunningServer, viewers: list[str], harm: Callable[[], object], heal: Callable[[], object]) -> None:
    """Lists go on through a fault of the store's, writes fail and come back, and nothing acknowledged is lost."""
    client = server.client
    acknowledged = {f"e{n}" for n in range(5) if write(client, n) == "OK"}
    assert len(acknowledged) == 5
    with Callers(server.address, ["blended"], viewers, callers=3, timeout=2.0, pause=0.01) as callers:
        began = time.monotonic()
        harm()
        codes = []
        while "UNAVAILABLE" not in codes:
            assert time.monotonic() - began < 30, codes
            codes.append(write(client, name := f"harmed-{len(codes)}", "x" * 200))
            acknowledged |= {f"e{name}"} if codes[-1] == "OK" else set()
        time.sleep(0.5)
        heal()
        healed = time.monotonic()
        recovered = eventually(lambda: write(client, "healed") == "OK")
        acknowledged.add("ehealed")
        callers.first(lambda call: call.code == "OK" and not call.said_degraded, healed)
    print(f"\nwrites again after {recovered:.1f} s; {callers.summary(began)}")
    assert callers.summary(began).ok >= 0.999, callers.summary(began)
    assert all(call.items == 5 for call in callers.since(began) if call.code == "OK")
    assert acknowledged <= stored(client)
    assert "internal error" not in server.log
    assert server.process.poll() is None


@contextmanager
def serving(config: Path, **more: str) -> Iterator[RunningServer]:
    with run_server(config, environment={**ENVIRONMENT, **more}) as running:
        yield running


def test_a_full_disk(ruled: Path, tmp_path: Path, viewers: list[str]):
    """A limit on the size of files, set from outside, is what a full disk is to a process."""
    with serving(own_store(ruled, tmp_path, "full")) as server:

        def limit(size: int) -> None:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        # room for a few more pages of the log, no more
        harm = lambda: limit((tmp_path / "store.db-wal").stat().st_size + 20_000)  # noqa: E731
        suffers(server, viewers, harm, lambda: limit(resource.RLIM_INFINITY))


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)):
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_file_system_without_room(ruled: Path, disk: Path, viewers: list[str]):
    with serving(own_store(ruled, disk, "tmpfs")) as server:

        def fill() -> None:
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

        suffers(server, viewers, fill, (disk / "filler").unlink)


def test_a_file_system_that_may_only_be_read(ruled: Path, disk: Path, viewers: list[str]):
    """The folder is read-only from the start, because files that are already open stay writable."""
    config = own_store(ruled, disk, "read-only")
    with serving(config) as server:
        assert write(server.client, "before") == "OK"
    assert mount("-o", "remount,ro", str(disk))
    with serving(config) as server:
        client = server.client
        with Callers(server.address, ["blended"], viewers, callers=2, timeout=2.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            assert write(client, "refused") == "UNAVAILABLE"
            assert mount("-o", "remount,rw", str(disk))
            recovered = eventually(lambda: write(client, "after") == "OK")
            healed = time.monotonic()
            callers.first(lambda call: call.code == "OK" and not call.said_degraded, healed)
        print(f"\nread-only: writes again after {recovered:.1f} s; {callers.summary()}")
        assert callers.summary().ok == 1.0
        assert stored(client) == {"ebefore", "eafter"}
        assert "internal error" not in server.log


@dataclass(frozen=True)
class SteppedClock:
    """A wall clock that one server goes by; see stepped_clock.c."""

    file: Path
    environment: Mapping[str, str]

    def step(self, seconds: int) -> None:
        """Set it so many seconds before the true time, or after it."""
        with self.file.open("r+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


@pytest.fixture
def clock(tmp_path: Path) -> SteppedClock:
    library, file = tmp_path / "stepped_clock.so", tmp_path / "clock"
    source = Path(__file__).with_name("stepped_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    file.write_bytes(bytes(8))
    return SteppedClock(file, {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(file)})


def test_clocks_that_jump_do_no_harm(ruled: Path, tmp_path: Path, viewers: list[str], clock: SteppedClock):
    """An hour and a year forwards and back: calls end in time, and what is written is there."""
    config = own_store(ruled, tmp_path, "clock")
    # a wait that goes by the wrong clock takes an hour; a busy machine may have the seconds that it needs
    config.write_text(config.read_text().replace('deadline = "2s"', 'deadline = "20s"'))
    with serving(config, **clock.environment) as server:
        client = server.client
        with Callers(server.address, ["blended", "explored"], viewers, callers=3, timeout=20.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            began = time.monotonic()
            steps = (3600, -3600, 31_536_000, -31_536_000, 0)
            for n, seconds in enumerate(steps):
                clock.step(seconds)
                stepped = time.monotonic()
                assert write(client, f"step-{n}", timeout=20) == "OK", seconds
                eventually(lambda since=stepped: len(callers.since(since)) >= 30)
        found = callers.summary(began)
        print(f"\nclock steps: {found}")
        # a call that is in flight at the very moment may find its deadline gone
        assert found.ok >= 0.98, found
        assert stored(client) == {f"estep-{n}" for n in range(len(steps))}
        assert client.health().status == 1
        assert "internal error" not in server.log
        clock.step(31_536_000)
        far = event("far")
        far.event_time.seconds = int(time.time()) + 30_000_000
        written = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[far]), timeout=20)
        assert written.stored_count == 1, "the server's clock did jump: to it, this time is past"
