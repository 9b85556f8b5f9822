"""Asking a source: how a call is made is the caller's choice, what may come back is checked here.

The pipeline knows *what* to ask; an :class:`Ask` knows *how*: straight away (offline), or in a
bounded pool within a budget (the server). Whatever goes wrong becomes a :class:`Report`.
"""

from __future__ import annotations

import enum
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.plan import Source
from cuvee.recommender import Candidates, Floats, Ints, Queries

__all__ = ["Ask", "Reply", "Report", "Status", "ask_candidates", "ask_directly", "ask_score"]

T = TypeVar("T")


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


class Ask(Protocol):
    """Makes one call of a source's method; raises whatever it raises, or :class:`SourceFailure`."""

    async def __call__(self, source: Source, method: Callable[..., Any], *args: Any) -> Any:
        """Call ``method(*args)`` on behalf of ``source``; awaits an ``async def``."""


async def ask_directly(source: Source, method: Callable[..., Any], *args: Any) -> Any:  # noqa: ARG001 - an Ask
    """Call at once in this thread: the offline way, without budgets."""
    answer = method(*args)
    return await answer if isinstance(answer, Awaitable) else answer


def _check_candidates(found: object, b: int, k: int, n: int) -> Candidates:
    if not isinstance(found, Candidates):
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"candidates() returned {type(found).__name__}")
    items, scores = found.items, found.scores
    if not (isinstance(items, np.ndarray) and isinstance(scores, np.ndarray)):
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, "candidates() returned something else than arrays")
    if items.ndim != 2 or items.shape != scores.shape or len(items) != b or items.shape[1] > k:
        raise SourceFailure(
            DegradedReason.INVALID_OUTPUT,
            f"candidates() returned items {items.shape} and scores {scores.shape} for {b} queries and k = {k}",
        )
    if items.dtype != np.int32 or scores.dtype != np.float32:
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"candidates() returned {items.dtype} and {scores.dtype}")
    if items.size and (items.min() < -1 or items.max() >= n):
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"candidates() named an item outside the catalogue of {n}")
    if np.isinf(scores).any():
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, "candidates() returned an infinite score")
    return found


def _check_scores(found: object, shape: tuple[int, ...]) -> Floats:
    if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float32:
        got = f"{found.dtype}{list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, f"score() returned {got}, not float32{list(shape)}")
    if np.isinf(found).any():
        raise SourceFailure(DegradedReason.INVALID_OUTPUT, "score() returned an infinite score")
    return found


async def _attempt(source: Source, call: Callable[[], Awaitable[T]]) -> Reply[T]:
    started = time.perf_counter()
    problem: Exception
    try:
        value = await call()
    except SourceFailure as failure:
        reason, detail, problem = failure.degraded, failure.detail, failure
    except TimeoutError as failure:
        reason, detail, problem = DegradedReason.TIMEOUT, "no answer within its budget", failure
    except Exception as failure:  # noqa: BLE001 - a plugin may raise anything; it must degrade, never lose, a request
        reason, detail, problem = DegradedReason.ERROR, f"raised {type(failure).__name__}", failure
    else:
        took = time.perf_counter() - started
        return Reply(value, Report(source.name, Status.LIVE, latency=took, model_version=source.version))
    took = time.perf_counter() - started
    return Reply(None, Report(source.name, Status.DEGRADED, reason, detail, took, source.version, problem))


async def ask_candidates(ask: Ask, source: Source, queries: Queries, k: int, n: int) -> Reply[Candidates]:
    """Ask for up to k candidates per query out of a catalogue of n, and check them."""

    async def call() -> Candidates:
        recommender = source.recommender
        if recommender is None:
            raise SourceFailure(DegradedReason.UNAVAILABLE, "its artefact could not be loaded")
        return _check_candidates(await ask(source, recommender.candidates, queries, k), len(queries), k, n)

    return await _attempt(source, call)


async def ask_score(ask: Ask, source: Source, queries: Queries, items: Ints) -> Reply[Floats]:
    """Ask for opinions on int32[B, M] items, and check them."""

    async def call() -> Floats:
        recommender = source.recommender
        if recommender is None:
            raise SourceFailure(DegradedReason.UNAVAILABLE, "its artefact could not be loaded")
        return _check_scores(await ask(source, recommender.score, queries, items), items.shape)

    return await _attempt(source, call)


def is_async(method: Callable[..., Any]) -> bool:
    """Whether a method is ``async def``: it then runs on the loop, not in the pool."""
    return inspect.iscoroutinefunction(method)
