"""A fleet of servers on paper: waiting times and failures, simulated from the measured time of a list on a core.

    python tests/benchmarks/fleet.py --rate 1000000

Each server has one core that computes batches, as ours do: whoever waits when it is free goes into the next batch,
16 at most. A batch takes ``FIRST + EACH * n`` (tests/benchmarks/README.md: 1.7 ms before its first row, 0.70 ms of
processor a request with four sources). A thousandth of the batches takes five times as long, as beside a busy
neighbour. Calls go to servers in turn; one without an answer after ``--attempt`` is asked again of another server,
up to three times, by a budget of a tenth of all calls, and fails after a second. With faults, one server in a
hundred is dead for 0.6 of the run, and another hangs for 0.4 of it; either is left alone by callers once they
noticed.

A slice of the fleet is simulated (``--servers``) at its share of the rate, since each client of a large fleet is
connected with a part of it alone; what is printed holds for each such slice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

FIRST, EACH = 0.0017, 0.00060
"""Seconds of a batch before its first row, and of each row: 16 rows take 11.3 ms, 0.70 a row."""
MOST = 16
CAPACITY = MOST / (FIRST + MOST * EACH)
DEADLINE = 1.0


@dataclass
class Server:
    """One core."""

    waiting: list[tuple[simpy.Event, float]] = field(default_factory=list)
    wake: simpy.Event | None = None
    up: bool = True
    hangs: bool = False
    left_alone: float = 0.0


class Fleet:
    """A slice of it."""

    def __init__(self, servers: int, load: float, seconds: float, attempt: float, *, faults: bool) -> None:
        self.env = simpy.Environment()
        self.rng = np.random.default_rng(0)
        self.servers = [Server() for _ in range(servers)]
        self.rate, self.seconds, self.attempt = load * servers * CAPACITY, seconds, attempt
        self.took: list[float] = []
        self.failed = self.again = self.calls = self.turn = 0
        for one in self.servers:
            self.env.process(self._serve(one))
        self.env.process(self._arrive())
        if faults:
            self.env.process(self._break())

    def run(self) -> dict[str, float]:
        """What callers see."""
        self.env.run(until=self.seconds + DEADLINE)
        took = np.sort(self.took) * 1000
        of = [round(float(took[int(len(took) * q)]), 1) for q in (0.5, 0.99, 0.999)]
        return {
            "calls": self.calls, "p50_ms": of[0], "p99_ms": of[1], "p99.9_ms": of[2],
            "failed_per_million": round(1e6 * self.failed / self.calls, 1),
            "asked_again_per_cent": round(100 * self.again / self.calls, 2),
        }  # fmt: skip

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        while self.env.now < self.seconds:
            yield self.env.timeout(self.rng.exponential(1 / self.rate))
            self.calls += 1
            self.env.process(self._call())

    def _next(self) -> Server:
        for _ in self.servers:
            self.turn = (self.turn + 1) % len(self.servers)
            if self.servers[self.turn].left_alone <= self.env.now:
                break
        return self.servers[self.turn]

    def _call(self) -> Generator[simpy.Event, Any, None]:
        began = self.env.now
        for tries in range(4):
            if tries and (self.again > 100 + 0.1 * self.calls or self.env.now - began >= DEADLINE):
                break
            self.again += tries > 0
            server = self._next()
            if not server.up:
                server.left_alone = self.env.now + 0.3  # a refused connection is known at once
                continue
            answer = self.env.event()
            server.waiting.append((answer, self.env.now))
            if server.wake is not None and not server.wake.triggered:
                server.wake.succeed()
            left = DEADLINE - (self.env.now - began)
            yield answer | self.env.timeout(min(self.attempt, left))
            if answer.triggered and answer.value:
                self.took.append(self.env.now - began)
                return
            if server.hangs or not server.up:
                server.left_alone = self.env.now + 5
        self.failed += 1

    def _serve(self, server: Server) -> Generator[simpy.Event, Any, None]:
        while True:
            if not server.waiting or server.hangs:
                server.wake = self.env.event()
                yield server.wake | self.env.timeout(0.2)
                continue
            batch, server.waiting = server.waiting[:MOST], server.waiting[MOST:]
            spent = FIRST + EACH * len(batch)
            yield self.env.timeout(spent * (5 if self.rng.random() < 0.001 else 1))
            for answer, came in batch:
                if not answer.triggered:
                    answer.succeed(server.up and self.env.now - came < DEADLINE)

    def _break(self) -> Generator[simpy.Event, Any, None]:
        dead, hung = self.servers[::100], self.servers[1::100]
        yield self.env.timeout(self.seconds * 0.2)
        for one in dead:
            one.up = False
            for answer, _ in one.waiting:
                if not answer.triggered:
                    answer.succeed(False)  # the connection ends, which callers see at once
            one.waiting = []
        yield self.env.timeout(self.seconds * 0.2)
        for one in hung:
            one.hangs = True
        yield self.env.timeout(self.seconds * 0.4)
        for one in (*dead, *hung):
            one.up, one.hangs = True, False


def main() -> None:
    """Print a line of JSON for each load, without and with faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1e6, help="lists a second")
    parser.add_argument("--servers", type=int, default=100, help="of the slice")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--attempt", type=float, default=0.25)
    given = parser.parse_args()
    for load in (0.5, 0.7, 0.9):
        for faults in (False, True):
            found = Fleet(given.servers, load, given.seconds, given.attempt, faults=faults).run()
            cores = round(given.rate / (load * CAPACITY))
            print(json.dumps({"load": load, "cores": cores, "faults": faults, **found}))


if __name__ == "__main__":
    main()
