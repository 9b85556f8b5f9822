"""Callers in processes of their own, and what came of a run of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from load.caller import Job
from load.processes import CORES, environment, pinned
from load.requests import Answers, looked_at
from load.wire import OK

__all__ = ["Run", "Target", "drive"]

MOST_CONNECTIONS = 16
DEADLINE = 1.0


@dataclass(frozen=True)
class Target:
    """Who is asked, and what."""

    address: str
    path: str
    bodies: Path


@dataclass(frozen=True)
class Run:
    """What one run of callers saw."""

    rate: float
    """OK answers a second."""
    p50: float
    """Milliseconds of OK answers, as p99; NaN without any."""
    p99: float
    statuses: dict[int, int]
    n_bytes: float
    """Of an answer, on average."""
    busy: float
    """The most that a process of callers was busy, of its core: near 1 the callers are what is measured."""
    processes: int
    answers: Answers | None
    refused_p50: float = np.nan
    """Milliseconds of refused calls, as the next; NaN without any."""
    refused_p99: float = np.nan

    @property
    def ceiling(self) -> float:
        """Answers a second that these callers could take in."""
        return self.rate / max(self.busy, 0.01)

    @property
    def ok(self) -> float:
        """The share of calls that were OK."""
        return self.statuses.get(OK, 0) / max(sum(self.statuses.values()), 1)


def drive(
    target: Target,
    *,
    callers: int = 1,
    rate: float = 0.0,
    seconds: float = 5.0,
    warm_up: float = 1.0,
    processes: int = 1,
    connections: int = 0,
    deadline: float = DEADLINE,
    cores: frozenset[int] = CORES.callers,
    look: bool = False,
    kind: str = "grpc",
) -> Run:
    """Ask in a closed loop (``callers``) or an open one (``rate`` a second).

    Args:
        target: who is asked, and what.
        callers: calls in the air, over all processes.
        rate: calls a second, over all processes; 0 is a closed loop.
        seconds: how long is counted.
        warm_up: how long before that.
        processes: processes of callers.
        connections: over all processes; as many as callers by default, at most 16.
        deadline: seconds after which a call is given up.
        cores: where the callers run.
        kind: what is spoken, ``grpc`` or ``http``.
        look: parse some answers of Recommend, and say what they hold.
    """
    processes = min(processes, callers) if not rate else processes
    connections = connections or min(callers if not rate else MOST_CONNECTIONS, MOST_CONNECTIONS)
    with tempfile.TemporaryDirectory(prefix="cuvee-bench-") as folder:
        running = []
        for n in range(processes):
            job = Job(
                address=target.address,
                path=target.path,
                bodies=str(target.bodies),
                first=n * 10_007,
                out=f"{folder}/{n}.npz",
                callers=callers // processes + (n < callers % processes),
                rate=rate / processes,
                connections=max(connections // processes, 1),
                seconds=seconds,
                warm_up=warm_up,
                deadline=deadline,
                kind=kind,
            )
            command = [sys.executable, "-m", "load.caller"]
            with pinned(cores):
                process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment())
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(job)))
            process.stdin.close()
            running.append(process)
        if any(process.wait() for process in running):
            raise RuntimeError("callers failed; what they said is above")
        parts = [np.load(f"{folder}/{n}.npz") for n in range(processes)]
        return _together(parts, seconds, look=look)


def _together(parts: list[np.lib.npyio.NpzFile], seconds: float, *, look: bool) -> Run:
    took = np.concatenate([part["took"] for part in parts]) * 1e3
    statuses: Counter[int] = Counter()
    for part in parts:
        statuses.update({int(status): int(count) for status, count in part["statuses"]})
    refused = np.concatenate([part["refused"] for part in parts]) * 1e3
    p50, p99 = np.percentile(took, [50, 99]) if len(took) else (np.nan, np.nan)
    return Run(
        rate=len(took) / seconds,
        p50=float(p50),
        p99=float(p99),
        statuses=dict(statuses),
        n_bytes=sum(int(part["n_bytes"]) for part in parts) / max(len(took), 1),
        busy=max(float(part["busy"]) for part in parts),
        processes=len(parts),
        answers=looked_at([part["kept"].tobytes() for part in parts]) if look else None,
        refused_p50=float(np.percentile(refused, 50)) if len(refused) else np.nan,
        refused_p99=float(np.percentile(refused, 99)) if len(refused) else np.nan,
    )
