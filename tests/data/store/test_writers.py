"""Writers to one SQLite file queue, in a process and between processes; PostgreSQL is held to the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.data.store.rows import EventRow
from cuvee.data.store.turns import NotOnTime, Turns
from cuvee.errors import UnavailableError

BENCHMARK = Path(__file__).parents[2] / "benchmarks/writers.py"
SECONDS = os.environ.get("CUVEE_WRITERS_SECONDS", "2")
"""60 shows the same for longer."""


def test_of_eight_processes_that_write_none_starves_and_nothing_is_lost(store: Store, url: str):
    command = [sys.executable, str(BENCHMARK), "--url", url, "--processes", "8", "--seconds", SECONDS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    alone, together = map(json.loads, done.stdout.splitlines())
    assert (alone["processes"], together["processes"]) == (1, 8)
    for one in (alone, together):
        assert one["lost"] == 0
        assert one["refused"] == 0, one
    assert together["fewest"] > 0
    if store.database.sqlite:  # each has its turn after the others: but for how they start and end they are even
        assert together["most"] <= 1.5 * together["fewest"] + 5, together


def test_threads_have_their_turns_in_the_order_in_which_they_came(tmp_path: Path):
    turns, order = Turns(tmp_path / "queue"), []

    def work(n: int) -> None:
        with turns.turn(30):
            order.append(n)

    with turns.turn(1):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for n, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) < n + 2:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_whoever_came_first_is_first_whatever_file_he_has_open(tmp_path: Path):
    """As if each were a process: the locks are of the open file, not of the process."""
    order: list[int] = []
    queues = [Turns(tmp_path / "queue") for _ in range(9)]

    def work(n: int) -> None:
        with queues[n].turn(30):
            order.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    with queues[8].turn(1):
        for n, thread in enumerate(threads):
            thread.start()
            while queues[n]._coming is None:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_who_waits_too_long_is_told_and_leaves_no_threads_and_files_behind(tmp_path: Path):
    turns, other = Turns(tmp_path / "queue"), Turns(tmp_path / "queue")
    with other.turn(1):
        before = (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
        for _ in range(10):
            with pytest.raises(NotOnTime), turns.turn(0.01):
                pass
        after = (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
        assert after[0] <= before[0] + 1
        assert after[1] <= before[1] + 1
    with turns.turn(5), pytest.raises(NotOnTime), other.turn(0.01):
        pass
    for one in (other, turns, other):
        with one.turn(5):
            pass


WRITER = """
import sys
from pathlib import Path
from cuvee.data.store import Database
from cuvee.data.store.database import located
def work(connection):
    print("writing", flush=True)
    sys.stdin.read()
try:
    Database(located(sys.argv[1], Path()), timeout=30).write(work)
except Exception as problem:
    print(problem)
"""


@contextmanager
def writing(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of a write until its stdin ends."""
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def file(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    database = Database(located(url, tmp_path))
    migrate(database)
    database.close()
    return url


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_waits_for_a_writer_that_was_killed(
    file: str, event: Callable[..., EventRow], end: signal.Signals, tmp_path: Path
):
    store = Store(Database(located(file, tmp_path), timeout=30))
    with writing(file) as first:
        assert said(first) == "writing"
        with writing(file) as second:  # and this one waits in the queue
            waiting = threading.Thread(target=store.write_events, args=([event("1")],))
            waiting.start()
            for process in (second, first):
                process.send_signal(end)
                process.wait()
            waiting.join()
    assert [e.event_id for e in store.events_of("films", "ann")] == ["1"]
    store.close()


def test_a_writer_that_does_not_go_on_costs_the_others_their_time_and_no_more(
    file: str, event: Callable[..., EventRow], tmp_path: Path
):
    store = Store(Database(located(file, tmp_path), timeout=0.2))
    with writing(file) as stuck:
        assert said(stuck) == "writing"
        stuck.send_signal(signal.SIGSTOP)
        before = threading.active_count()
        for n in range(5):
            with pytest.raises(UnavailableError, match="try again"):
                store.write_events([event(str(n))])
        assert threading.active_count() <= before + 1
        assert store.events_of("films", "ann") == [], "and reading goes on"
        stuck.send_signal(signal.SIGCONT)
        stuck.communicate("")
        assert stuck.returncode == 0
    patient = Store(Database(located(file, tmp_path), timeout=30))
    patient.write_events([event("last")])
    store.write_events([event("very last")])
    assert len(patient.events_of("films", "ann")) == 2
    store.close()
    patient.close()


def test_where_there_can_be_no_queue_writing_goes_on(file: str, event: Callable[..., EventRow], tmp_path: Path):
    (tmp_path / "store.db-queue").unlink()
    (tmp_path / "store.db-queue").mkdir()
    store = Store(Database(located(file, tmp_path)))
    store.write_events([event("1")])
    assert len(store.events_of("films", "ann")) == 1
    store.close()


@pytest.mark.parametrize("left", [b"", b"\0", b"garbage and more of it", b"\xff" * 8])
def test_whatever_stands_in_the_file_of_the_queue_writing_goes_on(
    file: str, event: Callable[..., EventRow], left: bytes, tmp_path: Path
):
    (tmp_path / "store.db-queue").write_bytes(left)
    store = Store(Database(located(file, tmp_path)))
    for n in range(3):
        store.write_events([event(str(n))])
    assert len(store.events_of("films", "ann")) == 3
    store.close()
