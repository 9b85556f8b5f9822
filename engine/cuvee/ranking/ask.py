"""Asking sources: what is asked is the pipeline's, how is the caller's, what may come back is checked here.

The pipeline says *what* to ask, a list of calls at a time; an :class:`Ask` knows *how*: one after
another in this thread (:class:`Directly`, offline), or within budgets (the server). Whatever goes wrong
becomes a :class:`Report`.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cuvee import kernels
from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.plan import Source
from cuvee.recommender import Candidates, Floats, Ints, Queries

__all__ = [
    "Ask", "Call", "Directly", "Reply", "Report", "Status", "candidates_of", "is_async", "not_loaded", "reply_of",
    "scores_of",
]  # fmt: skip

T = TypeVar("T")

RAISED = "raised an error that is none of its promises"
"""What a caller is told; which one it was is for the log."""


class Status(enum.Enum):
    """What part a source had in an answer."""

    LIVE = "LIVE"
    NOT_SERVING = "NOT_SERVING"
    """It does not serve this kind of query, or has no weight in its segment."""
    DEGRADED = "DEGRADED"


@dataclass(frozen=True, slots=True)
class Report:
    """How a source's calls went."""

    source: str
    status: Status
    reason: DegradedReason | None = None
    detail: str = ""
    """Goes to the caller: never the text of an unforeseen exception."""
    latency: float = 0.0
    """Seconds, over all calls of the answer."""
    model_version: str = ""
    failure: BaseException | None = None
    """For the log."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A checked value, or the report of why there is none."""

    value: T | None
    report: Report


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a source's method."""

    source: Source
    method: Callable[..., Any] | None
    """None where the source's artefact could not be loaded."""
    args: tuple[Any, ...]
    check: Callable[[Any], T]
    """Gives back a value that keeps the contract; raises :class:`SourceFailure` for any other."""
    within: float | None = None
    """Seconds that its answer is worth waiting for, where that is less than it would get; for the server."""


class Ask(Protocol):
    """Makes calls of several sources' methods; the calls of one list may go on at the same time."""

    def __call__(self, calls: Sequence[Call[T]]) -> list[Reply[T]]:
        """The replies, in the order of the calls. Never raises because of a source."""


def is_async(method: Callable[..., Any]) -> bool:
    """Whether a method is ``async def``: it waits for another process instead of computing here."""
    return inspect.iscoroutinefunction(method)


def reply_of(call: Call[T], value: Callable[[], Any], began: float) -> Reply[T]:
    """The checked reply to a call: ``value()`` is what the method returned, or raises what it raised.

    ``began`` is when the call did, in the time of ``time.perf_counter``.
    """
    source = call.source
    problem: Exception
    try:
        checked = call.check(value())
    except SourceFailure as failure:
        reason, detail, problem = failure.degraded, failure.detail, failure
    except TimeoutError as failure:
        reason, detail, problem = DegradedReason.TIMEOUT, "no answer within its budget", failure
    except Exception as failure:  # noqa: BLE001 - a plugin may raise anything; it must degrade, never lose, a request
        reason, detail, problem = DegradedReason.ERROR, RAISED, failure
    else:
        took = time.perf_counter() - began
        return Reply(checked, Report(source.name, Status.LIVE, latency=took, model_version=source.version))
    took = time.perf_counter() - began
    return Reply(None, Report(source.name, Status.DEGRADED, reason, detail, took, source.version, problem))


def not_loaded() -> Any:
    """The reply where a source has no recommender."""
    raise SourceFailure(DegradedReason.UNAVAILABLE, "its artefact could not be loaded")


class Directly:
    """The offline way: one call after another in this thread, without budgets.

    What is ``async def`` runs on an event loop in a thread of this object's own, since channels to a model
    server belong to the loop that made them. :meth:`close` it at the end.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, calls: Sequence[Call[T]]) -> list[Reply[T]]:
        """The replies; those that wait begin before the others compute."""
        waiting = {
            at: (time.perf_counter(), self._begin(call.method(*call.args)))
            for at, call in enumerate(calls)
            if call.method is not None and is_async(call.method)
        }
        replies: dict[int, Reply[T]] = {}
        for at, call in enumerate(calls):
            if at not in waiting:
                value = not_loaded if call.method is None else partial(call.method, *call.args)
                replies[at] = reply_of(call, value, time.perf_counter())
        for at, (began, future) in waiting.items():
            replies[at] = reply_of(calls[at], future.result, began)
        return [replies[at] for at in range(len(calls))]

    def _begin(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="offline-waiting", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the loop, if there is one."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def __enter__(self) -> Directly:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def candidates_of(source: Source, queries: Queries, k: int, n: int) -> Call[Candidates]:
    """The call that asks for up to k candidates per query out of a catalogue of n."""
    b = len(queries)

    def check(found: object) -> Candidates:
        if not isinstance(found, Candidates):
            raise _invalid("candidates() returned no Candidates")
        items, scores = found.items, found.scores
        if not (isinstance(items, np.ndarray) and isinstance(scores, np.ndarray)):
            raise _invalid("candidates() returned something else than arrays")
        if items.ndim != 2 or items.shape != scores.shape or len(items) != b or items.shape[1] > k:
            raise _invalid(f"candidates() gave items {items.shape}, scores {scores.shape} for {b} queries, k {k}")
        if items.dtype != np.int32 or scores.dtype != np.float32:
            raise _invalid(f"candidates() returned {items.dtype} and {scores.dtype}")
        if not kernels.is_inside(items, n):
            raise _invalid(f"candidates() named an item outside the catalogue of {n}")
        if not kernels.is_finite(scores):
            raise _invalid("candidates() returned an infinite score")
        return found

    method = None if source.recommender is None else source.recommender.candidates
    return Call(source, method, (queries, k), check)


def scores_of(source: Source, queries: Queries, items: Ints) -> Call[Floats]:
    """The call that asks for opinions on int32[B, M] items. That they are finite is checked where they are read."""

    def check(found: object) -> Floats:
        if not isinstance(found, np.ndarray) or found.shape != items.shape or found.dtype != np.float32:
            got = f"{found.dtype}{list(found.shape)}" if isinstance(found, np.ndarray) else "no array"
            raise _invalid(f"score() returned {got}, not float32{list(items.shape)}")
        return found

    method = None if source.recommender is None else source.recommender.score
    return Call(source, method, (queries, items), check)


def _invalid(detail: str) -> SourceFailure:
    return SourceFailure(DegradedReason.INVALID_OUTPUT, detail)
