"""Callers that send requests all the time, each on its own connection, with a record of each call."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cuvee.client import Client, policy
from cuvee.testing.server import RunningServer
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Call", "Callers", "Summary", "apart", "workers"]


def workers(server: RunningServer) -> list[int]:
    """The pids of those that run, the oldest first."""
    pid = server.process.pid
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def apart() -> None:
    """From now on each client of this process has connections of its own: gRPC shares them unless it is told not to."""
    own = ("grpc.use_local_subchannel_pool", 1)
    if own not in policy.OPTIONS:
        policy.OPTIONS.append(own)


@dataclass(frozen=True, slots=True)
class Call:
    """One call and what became of it."""

    at: float
    """When it began (``time.monotonic``)."""
    seconds: float
    code: str
    product: str = ""
    items: int = 0
    degraded: frozenset[tuple[str, str]] = frozenset()
    """(source, reason) of each that was left out."""
    said_degraded: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Summary:
    """Many calls in a few figures."""

    calls: int
    ok: float
    """Share of calls that were answered with OK."""
    late: float
    """Share of calls that took longer than the deadline and 20 ms."""
    longest: float
    """Seconds."""
    codes: Counter[str]
    reasons: Counter[str] = field(default_factory=Counter)
    """How many answers were degraded, by source and reason."""

    @classmethod
    def of(cls, calls: Sequence[Call], deadline: float) -> Summary:
        """``deadline``: seconds that each caller allowed."""
        n = max(len(calls), 1)
        return cls(
            len(calls),
            sum(c.code == "OK" for c in calls) / n,
            sum(c.seconds > deadline + 0.02 for c in calls) / n,
            max((c.seconds for c in calls), default=0.0),
            Counter(c.code for c in calls),
            Counter(f"{source} {reason}" for c in calls for source, reason in c.degraded),
        )

    def __str__(self) -> str:
        reasons = ", ".join(f"{name} {n}" for name, n in sorted(self.reasons.items()))
        return (
            f"{self.calls} calls, {self.ok:.3%} OK, {self.late:.2%} later than the deadline + 20 ms, longest "
            f"{self.longest * 1e3:.0f} ms, {dict(self.codes)}" + (f", degraded: {reasons}" if reasons else "")
        )


class Callers:
    """Threads that send one request after another while a test causes failures."""

    def __init__(
        self,
        address: str,
        products: Sequence[str],
        users: Sequence[str],
        *,
        callers: int = 4,
        pause: float = 0.0,
        timeout: float = 1.0,
        page_size: int = 5,
        client: Callable[[str], Client] = Client,
    ) -> None:
        """``pause``: seconds between an answer and the next question of one caller."""
        self.calls: list[Call] = []
        self.deadline = timeout
        self._users, self._products, self._pause, self._page_size = users, products, pause, page_size
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(client, address, n), daemon=True) for n in range(callers)
        ]

    def _ask(self, make: Callable[[str], Client], address: str, number: int) -> None:
        with make(address) as client:
            turn = number
            while not self._over.wait(self._pause):
                turn += 1
                product = self._products[turn % len(self._products)]
                self.calls.append(self._call(client, product, self._users[turn % len(self._users)]))

    def _call(self, client: Client, product: str, user: str) -> Call:
        at = time.monotonic()
        try:
            answer = client.recommend(product, user, page_size=self._page_size, timeout=self.deadline)
        except grpc.RpcError as problem:
            return Call(at, time.monotonic() - at, problem.code().name, product, detail=problem.details() or "")
        return Call(at, time.monotonic() - at, "OK", product, len(answer.items), degraded_of(answer), answer.degraded)

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def since(self, moment: float, product: str = "") -> list[Call]:
        """The calls that began after a moment, of one product or of all."""
        return [c for c in list(self.calls) if c.at >= moment and product in {"", c.product}]

    def first(self, true: Callable[[Call], bool], moment: float, seconds: float = 20.0) -> Call:
        """The first call after a moment of which something is true; AssertionError where none comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for call in self.since(moment):
                if true(call):
                    return call
            time.sleep(0.02)
        raise AssertionError(f"no such call in {seconds} s: {self.summary(moment)}")

    def summary(self, moment: float = 0.0) -> Summary:
        """Of the calls that began after a moment."""
        return Summary.of(self.since(moment), self.deadline)


def degraded_of(answer: Any) -> frozenset[tuple[str, str]]:
    """(source, reason) of each degraded source of an answer."""
    return frozenset(
        (s.source, pb.DegradedReason.Name(s.reason).removeprefix("DEGRADED_REASON_"))
        for s in answer.sources
        if s.status == pb.SourceStatus.STATUS_DEGRADED
    )
