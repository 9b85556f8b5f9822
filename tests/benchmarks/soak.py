"""A server under load for a long time while one thing after another fails, and the memory and files it uses in the end.

Run by hand::

    python tests/benchmarks/soak.py --seconds 600

Callers ask two products at about half of what they could get, others write events and change items; a store behind
a lock, noise on the port, cancelled calls, plugins that raise, sleep and answer garbage, and killed workers take
turns. Of the one worker that is never killed it tells resident memory, descriptors and threads after a quarter of
the time and in the end; of the calls how many failed. The exit code is 1 where more than one in a thousand failed,
or something grew.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import grpc
from cuvee.client import Client, profile
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from reliability.asking import World
from reliability.callers import Callers, Summary, apart, workers
from reliability.fuzzing import garbage_on_port
from reliability.place import ENVIRONMENT, POPULAR, fitted
from reliability.vitals import Vitals

ERRORS = 0.001
GROWTH = (40.0, 12, 12)
"""MiB, descriptors and threads by which the worker that lives on may grow from a quarter of the time to the end."""
RULES = '[[rules]]\nuse = "exclude_seen"\n[fallback]\nchain = ["popular"]'
PRODUCTS = {
    "plain": f'sources = [{{ use = "pairs" }}, {{ use = "popular" }}]\n{RULES}',
    "ill": f'sources = [{{ use = "flaky" }}, {{ use = "sleeps", timeout = "100ms" }}, {{ use = "popular" }}]\n{RULES}',
}


def recommenders(folder: Path) -> Mapping[str, str]:
    """Those of the products; ``flaky`` fails and ``sleeps`` hangs while a file of that name is there."""
    return {
        "popular": POPULAR,
        "pairs": 'plugin = "toy_pairs"',
        "flaky": f'plugin = "flaky"\ntrouble = "{folder / "flaky"}"',
        "sleeps": f'plugin = "ill"\nhow = "sleeps"\nseconds = 0.5\ntrouble = "{folder / "sleeps"}"',
    }


class Writers:
    """Threads that write an event or change an item now and then."""

    def __init__(self, address: str) -> None:
        self.codes: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(address,), daemon=True)
        self._thread.start()

    def _write(self, address: str) -> None:
        rng, items, n = random.Random(1), sorted(World.of_toy().films), 0
        with Client(address) as client:
            while not self._over.wait(0.1):
                n += 1
                event = events_pb2.Event(
                    product="plain",
                    user_id=f"soaker-{n % 200}",
                    item_id=rng.choice(items),
                    type=events_pb2.EVENT_TYPE_VIEW,
                    event_id=f"soak-{n}",
                )
                item = catalog_pb2.Item(
                    item_id=f"soaked-{n % 20}", title="T", attributes=profile({"year": n}).attributes
                )
                try:
                    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=5)
                    if n % 10 == 0:
                        client.catalog.UpsertItem(catalog_pb2.UpsertItemRequest(product="plain", item=item), timeout=5)
                    self.codes["OK"] += 1
                except grpc.RpcError as problem:
                    self.codes[problem.code().name] += 1

    def close(self) -> None:
        """End them."""
        self._over.set()
        self._thread.join(15)


class Faults:
    """What goes wrong, one after another."""

    def __init__(self, folder: Path, server: RunningServer, seed: int, *, kill: bool) -> None:
        self._folder, self._server, self._rng = folder, server, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.begun: list[tuple[float, str]] = []
        """When each fault began (``time.monotonic``), and which it was."""
        kinds: list[Callable[[], None]] = [self.lock, self.noise, self.cancel, self.flaky, self.sleeps]
        self._kinds = [*kinds, self.kill] if kill else kinds

    def one(self) -> None:
        """The next fault, for some seconds."""
        kind = self._kinds[self.done.total() % len(self._kinds)]
        self.begun.append((time.monotonic(), kind.__name__))
        kind()
        self.done[kind.__name__] += 1

    def lock(self) -> None:
        """Somebody holds the store's lock."""
        lock = sqlite3.connect(self._folder / "place/var/store.db", isolation_level=None)
        with suppress(sqlite3.OperationalError):
            lock.execute("BEGIN IMMEDIATE")
        time.sleep(1.0)
        lock.close()

    def noise(self) -> None:
        """What is no gRPC comes in on the port."""
        for _ in range(60):
            garbage_on_port(self._rng, self._server.address)

    def cancel(self) -> None:
        """Callers who leave at once."""
        with Client(self._server.address) as client:
            for n in range(100):
                call = client._stub.Recommend.future(
                    pb.RecommendRequest(product="plain", user_id=f"viewer-{n % 90:03d}"), timeout=1
                )
                time.sleep(self._rng.uniform(0, 0.004))
                call.cancel()

    def flaky(self) -> None:
        """A source that is away."""
        self._trouble("flaky", 2.0)

    def sleeps(self) -> None:
        """A source that hangs."""
        self._trouble("sleeps", 2.0)

    def _trouble(self, name: str, seconds: float) -> None:
        (self._folder / name).touch()
        time.sleep(seconds)
        (self._folder / name).unlink()

    def kill(self) -> None:
        """The younger worker dies."""
        with suppress(ProcessLookupError, IndexError):
            os.kill(workers(self._server)[-1], signal.SIGKILL)
        time.sleep(3.0)


def soak(seconds: float, *, kill: bool, seed: int = 1) -> bool:
    """Whether errors stayed under one in a thousand and nothing grew."""
    apart()
    with tempfile.TemporaryDirectory(prefix="cuvee-soak-") as name:
        folder = Path(name)
        config = fitted(folder / "place", PRODUCTS, recommenders(folder))
        options, ready = (["--workers", "2"], "workers ready") if kill else ([], "ready")
        with run_server(config, environment=ENVIRONMENT, options=options, wait_until=ready) as server:
            return _soaked(folder, server, seconds, kill=kill, seed=seed)


def _soaked(folder: Path, server: RunningServer, seconds: float, *, kill: bool, seed: int) -> bool:
    faults, users = Faults(folder, server, seed, kill=kill), World.of_toy().users
    writers = Writers(server.address)
    measured: list[tuple[float, Vitals]] = []
    with Callers(server.address, ["plain", "ill"], users, callers=4, timeout=2.0, pause=0.02) as callers:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            faults.one()
            time.sleep(1.0)
            oldest = workers(server)[0] if kill else server.process.pid
            measured.append((time.monotonic() - began, Vitals.of(oldest)))
    writers.close()
    found = Summary.of(callers.calls, callers.deadline)
    late = [one for at, one in measured if at > seconds / 4] or [measured[-1][1]]
    first, last = late[0], late[-1]
    print(f"{seconds:.0f} s, {found.calls / seconds:.0f} calls a second: {found}")
    print(f"writes: {dict(writers.codes)}; faults: {dict(faults.done)}")
    print(f"one worker, after a quarter: {first}; at the end: {last}")
    for line, many in _failures(callers, faults).most_common(12):
        print(f"  {many} x {line}")
    unforeseen = len(server.events("internal error"))
    print(f"unforeseen errors in the log: {unforeseen}")
    grown = (last.rss - first.rss, last.descriptors - first.descriptors, last.threads - first.threads)
    flat = all(more <= most for more, most in zip(grown, GROWTH, strict=True))
    refused = sum(n for code, n in writers.codes.items() if code not in {"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
    return found.ok >= 1 - ERRORS and flat and not unforeseen and not refused


def _failures(callers: Callers, faults: Faults) -> Counter[str]:
    """What failed during which fault, and how often."""
    found: Counter[str] = Counter()
    for call in callers.calls:
        if call.code != "OK":
            during = [name for at, name in faults.begun if at <= call.at + call.seconds]
            found[f"{call.code} while {during[-1] if during else 'nothing'}: {call.detail[:100]}"] += 1
    return found


def main() -> None:
    """Soak, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", action="store_true", help="one process, and none is killed")
    given = parser.parse_args()
    sys.exit(not soak(given.seconds, kill=not given.one, seed=given.seed))


if __name__ == "__main__":
    main()
