"""The two hooks that requests meet: where a history comes from, and who observes the answers.

Both run in threads of their own, so a slow store or monitor holds up its own work alone.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import structlog

from cuvee.ranking.pipeline import Answer
from cuvee.recommender import History, Queries
from cuvee.registry import Registry
from cuvee.serving.deadline import left_until
from cuvee.serving.threads import AllTaken, Threads

__all__ = ["HistoryFailed", "Hooks"]

log = structlog.get_logger(__name__)

SHARE = 0.25
"""Of what is left of the deadline: what looking up a history may take."""


class HistoryFailed(Exception):
    """A plugin's ``load_history`` failed; the engine's own history is taken, and the answer is degraded."""


class Hooks:
    """The hooks that are called while the server runs; free of cost where no plugin has them."""

    def __init__(self, registry: Registry, slots: int) -> None:
        self._relay = registry.hooks
        self._loads = bool(registry.hooks.load_history.get_hookimpls())
        self._observes = bool(registry.hooks.on_recommended.get_hookimpls())
        self._loading = Threads("load-history", slots)
        self._observing = Threads("on-recommended", 2)

    @property
    def observes(self) -> bool:
        """Whether any plugin observes answers."""
        return self._observes

    @property
    def loads(self) -> bool:
        """Whether any plugin has ``load_history``."""
        return self._loads

    async def history(self, product: str, user_id: str, deadline: float) -> History | None:
        """What a plugin knows of the user's history; None where there is no such plugin or no word.

        Raises:
            HistoryFailed: it raised, was late, or gave something else than a history.
        """
        if not self._loads or not user_id:
            return None
        try:
            found = await self._loading.in_turn(
                SHARE * left_until(deadline), lambda: self._relay.load_history(product=product, user_id=user_id)
            )
            return None if found is None else _checked(found)
        except Exception as problem:
            log.warning("load_history failed", product=product, problem=repr(problem))
            raise HistoryFailed from problem

    def observe(self, queries: Queries, answer: Answer) -> None:
        """Show an answer to those who observe, later and elsewhere; when they are too slow, not at all."""
        if not self._observes:
            return
        try:
            call = self._observing.submit(lambda: self._relay.on_recommended(queries=queries, result=answer))
        except AllTaken:
            log.warning("on_recommended left out: earlier calls have not come back")
            return
        call.add_done_callback(_log_failure)

    def close(self) -> None:
        """Let idle threads go."""
        self._loading.close()
        self._observing.close()


def _log_failure(call: asyncio.Future[Any]) -> None:
    if not call.cancelled() and (problem := call.exception()):
        log.warning("on_recommended failed", exc_info=problem)


def _checked(found: object) -> History:
    """A history in order of time, or TypeError/ValueError."""
    if not isinstance(found, History):
        raise TypeError(f"load_history returned {type(found).__name__}, not a History")
    n = len(found.item_ids)
    for name, values in (("weights", found.weights), ("times", found.times)):
        if values is None:
            continue
        if len(values) != n:
            raise ValueError(f"load_history returned {n} item ids and {len(values)} {name}")
        if not all(math.isfinite(v) for v in values):
            raise ValueError(f"load_history returned {name} that are not finite")
    if found.times is None:
        return found
    order = np.argsort(np.asarray(found.times, np.float64), kind="stable")
    weights = None if found.weights is None else [found.weights[i] for i in order]
    return History([found.item_ids[i] for i in order], weights, [found.times[i] for i in order])
