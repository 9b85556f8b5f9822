"""Recommenders that do what no plugin may: one class, and a table of what ``how`` stands for.

Each is popularity until it is loaded. Those in :data:`HANGS` do it only while the file ``trouble`` is there,
since a server asks every source before it is ready.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cuvee
import numpy as np
from cuvee.recommender import Ints
from servingplugin import SECRET, Counts

HELD: list[bytearray] = []


class Config(cuvee.RecommenderConfig):
    """``how``: a key of the tables below; ``seconds``: how long those that hang do so."""

    how: str = "raises"
    trouble: str = ""
    seconds: float = 30.0


Found = cuvee.Candidates


def raising(problem: BaseException) -> Callable[..., Any]:
    def candidates(*_: Any) -> Any:
        raise problem

    return candidates


def recursing(*arguments: Any) -> Any:
    return recursing(*arguments)


def holding_the_lock(seconds: float) -> None:
    """A C function that keeps the interpreter's lock, as an extension's loop does."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def regular_expression(seconds: float) -> None:
    """One that backtracks for ever; it keeps the lock, too. It takes twice as long with each letter."""
    re.match(r"(a+)+$", "a" * 40 + "b")


def spinning(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def with_items(change: Callable[[Ints], Any]) -> Callable[..., Any]:
    return lambda good, queries, k, n: Found(change(good.items), good.scores)


def with_scores(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda good, queries, k, n: Found(good.items, change(good.scores))


def many(good: Any, queries: Any, k: int, n: int) -> Any:
    return Found(np.tile(good.items, (1, 10)), np.tile(good.scores, (1, 10)))


def what_was_seen(good: Any, queries: cuvee.Queries, k: int, n: int) -> Any:
    """Everything there is from the front, whoever has seen it."""
    items = np.tile(np.arange(min(k, n), dtype=np.int32), (len(queries), 1))
    return Found(items, np.ones(items.shape, np.float32))


def changes_what_it_got(good: Any, queries: cuvee.Queries, k: int, n: int) -> Any:
    """Takes restrictions away from the others, where it can."""
    for array in (queries.excluded.items, queries.excluded.offsets, queries.histories.items, queries.users):
        try:
            array[:] = 0
        except ValueError:
            continue
    return good


def changes_what_is_scored(good: Any, items: Ints) -> Any:
    items[:] = np.arange(items.shape[1], dtype=np.int32)
    return good


def leaking(good: Any, queries: Any, k: int, n: int) -> Any:
    HELD.append(bytearray(2**20))
    return good


def allocating(good: Any, queries: Any, k: int, n: int) -> Any:
    np.ones(2**27)  # a gigabyte, touched
    return good


CANDIDATES: Mapping[str, Callable[..., Any]] = {
    "raises": raising(ValueError(SECRET)),
    "raises_timeout": raising(TimeoutError(SECRET)),
    "raises_stop": raising(StopIteration()),
    "raises_memory": raising(MemoryError()),
    "raises_interrupt": raising(KeyboardInterrupt()),
    "raises_cancelled": raising(asyncio.CancelledError()),
    "raises_generator_exit": raising(GeneratorExit()),
    "recurses": recursing,
    "none": lambda *_: None,
    "text": lambda *_: "no candidates",
    "pair": lambda good, *_: (good.items, good.scores),
    "lists": lambda good, *_: Found(good.items.tolist(), good.scores.tolist()),
    "one_dimension": lambda good, *_: Found(good.items[0], good.scores[0]),
    "no_rows": lambda good, *_: Found(good.items[:0], good.scores[:0]),
    "more_rows": lambda good, *_: Found(np.tile(good.items, (3, 1)), np.tile(good.scores, (3, 1))),
    "ten_times": many,
    "items_int64": with_items(lambda items: items.astype(np.int64)),
    "items_of_objects": with_items(lambda items: items.astype(object)),
    "items_beyond": with_items(lambda items: items + 10_000),
    "items_far_beyond": with_items(lambda items: np.full_like(items, 2**31 - 1)),
    "items_negative": with_items(lambda items: np.full_like(items, -7)),
    "scores_float64": with_scores(lambda scores: scores.astype(np.float64)),
    "scores_complex": with_scores(lambda scores: scores.astype(np.complex64)),
    "scores_infinite": with_scores(lambda scores: np.full_like(scores, np.inf)),
}
"""Behaviour of ``candidates`` that the answer must report."""
HARMLESS: Mapping[str, Callable[..., Any]] = {
    "scores_nan": with_scores(lambda scores: np.full_like(scores, np.nan)),
    "all_padding": with_items(lambda items: np.full_like(items, -1)),
    "twice": with_items(lambda items: np.repeat(items[:, : (items.shape[1] + 1) // 2], 2, 1)[:, : items.shape[1]]),
    "transposed": lambda good, *_: Found(np.asfortranarray(good.items), np.asfortranarray(good.scores)),
    "what_was_seen": what_was_seen,
    "changes_what_it_got": changes_what_it_got,
    "leaks": leaking,
    "allocates": allocating,
}
"""Behaviour of a plugin that harms no answer."""
SCORES: Mapping[str, Callable[..., Any]] = {
    "score_raises": raising(ValueError(SECRET)),
    "score_none": lambda *_: None,
    "score_flat": lambda good, items: good.ravel(),
    "score_short": lambda good, items: good[:, :-1],
    "score_float64": lambda good, items: good.astype(np.float64),
    "score_of_objects": lambda good, items: good.astype(object),
    "score_infinite": lambda good, items: np.full_like(good, -np.inf),
    "score_list": lambda good, items: good.tolist(),
    "score_nan": lambda good, items: np.full_like(good, np.nan),
    "score_changes_what_is_scored": changes_what_is_scored,
}
EXPLAINS: Mapping[str, Callable[..., Any]] = {
    "explain_raises": raising(ValueError(SECRET)),
    "explain_none": lambda *_: None,
    "explain_short": lambda rows: [],
    "explain_numbers": lambda rows: [3.5] * len(rows),
    "explain_bytes": lambda rows: [b"\xff"] * len(rows),
    "explain_surrogates": lambda rows: ["\ud800"] * len(rows),
    "explain_long": lambda rows: ["x" * 1_000_000] * len(rows),
}
HANGS: Mapping[str, Callable[[float], None]] = {
    "sleeps": time.sleep,
    "spins": spinning,
    "keeps_the_lock": holding_the_lock,
    "regular_expression": regular_expression,
    "ends_the_process": lambda seconds: os._exit(9),
    "crashes": lambda seconds: ctypes.string_at(0),
}


class Ill(Counts):
    """See the tables."""

    Config = Config  # type: ignore[assignment]

    @property
    def how(self) -> str:
        return self.config.how if self.loaded else ""

    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        good = self._top(queries, k)
        does = CANDIDATES.get(self.how) or HARMLESS.get(self.how)
        if does is not None:
            return does(good, queries, k, len(self.counts))
        if self.how in HANGS and Path(self.config.trouble).exists():
            HANGS[self.how](self.config.seconds)
        return good

    def score(self, queries: cuvee.Queries, items: Ints) -> Any:
        good = self._score(items)
        does = SCORES.get(self.how)
        return does(good, items) if does else good

    def explain(self, queries: cuvee.Queries, rows: Ints, items: Ints) -> Any:
        does = EXPLAINS.get(self.how)
        return does(rows) if does else [None] * len(rows)


class IllAsync(Counts):
    """The same, on the event loop: what would end or stop it."""

    Config = Config  # type: ignore[assignment]

    async def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        await asyncio.sleep(0)
        if self.loaded:
            match self.config.how:
                case "raises":
                    raise ValueError(SECRET)
                case "cancelled":
                    raise asyncio.CancelledError
                case "exits":
                    raise SystemExit(3)
                case "interrupt":
                    raise KeyboardInterrupt
                case "none":
                    return None
                case "sleeps" if Path(self.config.trouble).exists():
                    time.sleep(self.config.seconds)
        return self._top(queries, k)


ASYNC = ("raises", "cancelled", "exits", "interrupt", "none")


@cuvee.hookimpl
def register_recommenders() -> dict[str, type[Counts]]:
    return {"ill": Ill, "ill_async": IllAsync}
