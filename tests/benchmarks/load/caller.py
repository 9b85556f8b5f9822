"""One process of callers: reads a job (JSON) on stdin, asks, writes what came of it to the job's file (npz).

Run by :mod:`load.driving`, never by hand. A closed loop keeps so many calls in the air; an open loop sends
at a fixed rate, whatever comes back, and counts a call's time from when it was due.
"""

from __future__ import annotations

import json
import select
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from load.http1 import HttpConnection
from load.wire import CANCELLED, OK, RESOURCE_EXHAUSTED, Answer, Connection, Speaks

__all__ = ["Job", "pack", "unpack"]

KEEP_EVERY = 50
"""One in so many answers is kept, and its content checked."""
SWEEP = 0.005
"""Seconds between two looks for calls past their deadline."""


@dataclass(frozen=True)
class Job:
    """What one process of callers has to do."""

    address: str
    path: str
    bodies: str
    """A file of messages, each behind its length."""
    first: int
    """Where in the file this process begins, so that no two ask alike."""
    out: str
    callers: int
    """Calls in the air (closed loop)."""
    rate: float
    """Calls a second (open loop); 0 is a closed loop."""
    connections: int
    seconds: float
    warm_up: float
    """Seconds before that, whose answers do not count."""
    deadline: float
    kind: str
    """What is spoken: ``grpc`` or ``http``."""


def _connections(job: Job) -> list[Speaks]:
    kind = HttpConnection if job.kind == "http" else Connection
    return [kind(job.address, job.path, job.deadline) for _ in range(job.connections)]


def pack(messages: list[bytes]) -> bytes:
    """Messages as one file."""
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def unpack(data: bytes) -> list[bytes]:
    """The messages of a file."""
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


class Tally:
    """The calls that ended within the measured time."""

    def __init__(self, begins: float, ends: float) -> None:
        self.begins, self.ends = begins, ends
        self.took: list[float] = []
        """Seconds of each OK call."""
        self.refused: list[float] = []
        """The same of those that the server refused (RESOURCE_EXHAUSTED), or gRPC for it (CANCELLED)."""
        self.statuses: Counter[int] = Counter()
        self.kept: list[bytes] = []
        self.n_bytes = 0

    def add(self, answers: list[Answer], *, by_due: bool) -> None:
        """Count; by when they were due (open loop), else by when they ended."""
        for answer in answers:
            moment = answer.began if by_due else answer.began + answer.took
            if not self.begins <= moment < self.ends:
                continue
            self.statuses[answer.status] += 1
            if answer.status == OK:
                self.took.append(answer.took)
                self.n_bytes += len(answer.body)
                if len(self.took) % KEEP_EVERY == 1:
                    self.kept.append(answer.body)
            elif answer.status in {RESOURCE_EXHAUSTED, CANCELLED}:
                self.refused.append(answer.took)


def closed(job: Job, bodies: Iterator[bytes], tally: Tally) -> None:
    """Each caller asks again as soon as it has its answer."""
    connections = _connections(job)
    for n in range(job.callers):
        connections[n % len(connections)].send(next(bodies))
    for connection in connections:
        connection.flush()
    swept = 0.0
    while (now := time.perf_counter()) < tally.ends:
        ready, _, _ = select.select(connections, [c for c in connections if c.unsent], [], 0.01)
        sweep = now - swept > SWEEP
        swept = now if sweep else swept
        these: list[Speaks] = connections if sweep else ready
        for connection in these:
            ended = connection.receive()
            if sweep:
                ended += connection.expired(now)
            tally.add(ended, by_due=False)
            if connection.lost:
                raise RuntimeError("the server closed a connection")
            for _ in ended:
                connection.send(next(bodies))
            connection.flush()


def opened(job: Job, bodies: Iterator[bytes], tally: Tally) -> None:
    """One call every 1/rate seconds, whatever comes back."""
    connections = _connections(job)
    due, n, swept = time.perf_counter(), 0, 0.0
    while (now := time.perf_counter()) < tally.ends + job.deadline:
        while due <= now and due < tally.ends:
            connections[n % len(connections)].send(next(bodies), due)
            n, due = n + 1, due + 1 / job.rate
        for connection in connections:
            connection.flush()
        pause = max(min(due - time.perf_counter(), 0.01), 0) if due < tally.ends else 0.01
        ready, _, _ = select.select(connections, [], [], pause)
        sweep = now - swept > SWEEP
        swept = now if sweep else swept
        these: list[Speaks] = connections if sweep else ready
        for connection in these:
            tally.add(connection.receive(), by_due=True)
            if sweep:
                tally.add(connection.expired(now), by_due=True)
            if connection.lost:
                raise RuntimeError("the server closed a connection")


def main() -> None:
    """Do the job."""
    job = Job(**json.load(sys.stdin))
    messages = unpack(Path(job.bodies).read_bytes())
    start = job.first % len(messages)
    bodies = cycle(messages[start:] + messages[:start])
    begins = time.perf_counter() + job.warm_up
    tally = Tally(begins, begins + job.seconds)
    spent, began = time.process_time(), time.perf_counter()
    (opened if job.rate else closed)(job, bodies, tally)
    busy = (time.process_time() - spent) / (time.perf_counter() - began)
    np.savez(
        job.out,
        took=np.array(tally.took, np.float64),
        refused=np.array(tally.refused, np.float64),
        statuses=np.array(sorted(tally.statuses.items()), np.int64).reshape(-1, 2),
        kept=np.frombuffer(pack(tally.kept), np.uint8),
        n_bytes=tally.n_bytes,
        busy=busy,
    )


if __name__ == "__main__":
    main()
