"""Shadow variants: lists that nobody is shown, made when the answer has gone, and compared with what was shown.

Answers wait in a short queue for a run of their own: beside nothing that a caller waits for. Where calls wait to
be let in, the queue is emptied; where it is full, the oldest is left out. Shadows have runs, slots and circuits of
their own, so that a source that fails in them is held against it there alone, and no plugin observes their lists.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import structlog

from cuvee.bucketing import BUCKETS, bucket
from cuvee.config import Limits
from cuvee.errors import CuveeError, DegradedReason
from cuvee.ranking.ask import Status
from cuvee.ranking.pipeline import Answer
from cuvee.recommender import Queries
from cuvee.serving.lists.answers import Made
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.runs import Runs
from cuvee.serving.live.products import Products
from cuvee.serving.scheduling.core import Core
from cuvee.serving.telemetry.figures import Figures
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Shadows", "compared"]

log = structlog.get_logger(__name__)

MOST = 256
"""Answers that may wait for their shadows."""
TOGETHER = 8
"""Shadows that are made at once: few, since a run keeps the core from callers' lists."""
PAUSE = 0.02
"""Seconds between two such runs, and until it is looked again whether callers' lists wait."""
TOLD = 5.0
"""Seconds between two lines of the log for one shadow."""


class _Waiting(NamedTuple):
    product: str
    shadow: str
    request: pb.RecommendRequest
    shown: Sequence[int]
    """Positions of the catalogue, in the order of the list."""


class _Silent:
    """No plugin observes."""

    observes = False

    def observe(self, queries: Queries, answer: Answer) -> None:
        """Nobody."""


class _Tally:
    """What became of one shadow's lists since the last line of the log."""

    def __init__(self) -> None:
        self.overlaps: list[float] = []
        self.moves: list[float] = []
        self.same_first = self.shed = self.failed = self.degraded = 0
        self.seconds: list[float] = []
        self.since = time.monotonic()


def compared(shown: Sequence[int], made: Sequence[int]) -> tuple[float, float]:
    """The share of items in both lists, and by how many places these moved in the mean; NaN where there are none."""
    at = {item: place for place, item in enumerate(shown)}
    moved = [abs(place - at[item]) for place, item in enumerate(made) if item in at]
    longest = max(len(shown), len(made))
    return len(moved) / longest if longest else 1.0, float(np.mean(moved)) if moved else float("nan")


class Shadows:
    """Of one server process."""

    def __init__(
        self,
        limits: Limits,
        products: Products,
        edge: Edge,
        core: Core,
        figures: Figures,
        pressure: Callable[[], float],
        busy: Callable[[str], int],
    ) -> None:
        """``pressure`` is above 0 while calls wait to be let in; ``busy`` says how many of a product's lists wait."""
        self._limits, self._products, self._edge, self._core = limits, products, edge, core
        self._figures, self._pressure, self._busy = figures, pressure, busy
        self._runs: dict[str, Runs] = {}
        self._waiting: deque[_Waiting] = deque()
        self._tallies: dict[tuple[str, str], _Tally] = defaultdict(_Tally)
        self._going: asyncio.Task[None] | None = None

    def note(self, request: pb.RecommendRequest, made: Made) -> None:
        """An answer goes out: its shadows are made later, if there is room."""
        product = made.row.served.snapshot.product
        if not product.shadows or made.row.preview or request.page_token:
            return
        unit = request.bucketing_id or request.user_id or made.recommendation_id
        shown = [item for item in made.answer.items()[made.b].tolist() if item >= 0]
        for one in product.shadows:
            if bucket(f"{product.name}/shadow/{one.name}", unit) < round(one.share * BUCKETS):
                if len(self._waiting) >= MOST:
                    self._shed(self._waiting.popleft())
                self._waiting.append(_Waiting(product.name, one.name, request, shown))
        if self._waiting and (self._going is None or self._going.done()):
            # in no caller's context: whose call it is and its trace are over
            loop = asyncio.get_running_loop()
            self._going = loop.create_task(self._work(), context=contextvars.Context())

    def _shed(self, one: _Waiting) -> None:
        self._tallies[one.product, one.shadow].shed += 1
        self._figures.count("cuvee_shadow_lists_total", one.product, one.shadow, "shed")

    async def _work(self) -> None:
        while self._waiting or self._tallies:
            await asyncio.sleep(PAUSE)
            try:
                await self._some()
                self._tell()
            except Exception:
                log.exception("shadows cannot be made")

    async def _some(self) -> None:
        """Make a few, or none, as callers' lists leave room."""
        if self._pressure() > 0:
            while self._waiting:
                self._shed(self._waiting.popleft())
        elif not any(self._busy(one.product) for one in self._waiting):
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            # a run that was given up cancels what waits for it, and not the work here
            await asyncio.gather(*(self._made(one) for one in some), return_exceptions=True)

    async def _made(self, one: _Waiting) -> None:
        tally, began = self._tallies[one.product, one.shadow], time.monotonic()
        request = pb.RecommendRequest()
        request.CopyFrom(one.request)
        request.variant, request.page_size = f"~{one.shadow}", max(len(one.shown), 1)
        outcome = "failed"
        try:
            draft = self._edge.recommend(request, self._products.current(one.product))
            made = await self._of(one.product).ask(draft, began + self._limits.deadline)
        except CuveeError:  # the product or the shadow is gone, or there was no time
            tally.failed += 1
        except Exception:
            log.exception("a shadow cannot be made", product=one.product, shadow=one.shadow)
            tally.failed += 1
        else:
            outcome = "made"
            items = [item for item in made.answer.items()[made.b].tolist() if item >= 0]
            overlap, moved = compared(one.shown, items)
            tally.overlaps.append(overlap)
            tally.moves.append(moved)
            tally.same_first += items[:1] == list(one.shown[:1])
            tally.seconds.append(time.monotonic() - began)
            failed = (r.status is Status.DEGRADED and r.reason is not DegradedReason.COLD_USER
                      for r in made.answer.reports)  # fmt: skip
            tally.degraded += any(failed)
        self._figures.count("cuvee_shadow_lists_total", one.product, one.shadow, outcome)

    def _of(self, product: str) -> Runs:
        if product not in self._runs:
            # figures of their own, which nobody reads: those of the product are of what callers get
            self._runs[product] = Runs(product, self._limits, _Silent(), self._edge, self._core, Figures(), lambda: 0.0)
        return self._runs[product]

    def _tell(self) -> None:
        now = time.monotonic()
        for (product, shadow), tally in list(self._tallies.items()):
            if now < tally.since + TOLD:
                continue
            del self._tallies[product, shadow]
            moves = [one for one in tally.moves if one == one]  # noqa: PLR0124 - not NaN
            told = {
                "overlap": round(float(np.mean(tally.overlaps)), 4),
                "places_moved": round(float(np.mean(moves)), 3) if moves else None,
                "same_first": round(tally.same_first / len(tally.overlaps), 4),
                "ms_p50": round(1000 * float(np.median(tally.seconds)), 2),
                "ms_p95": round(1000 * float(np.quantile(tally.seconds, 0.95)), 2),
            } if tally.overlaps else {}  # fmt: skip
            log.info("shadow lists", product=product, shadow=shadow, lists=len(tally.overlaps), degraded=tally.degraded,
                     failed=tally.failed, shed=tally.shed, **told)  # fmt: skip

    def close(self) -> None:
        """Make no more, and let idle threads go."""
        if self._going is not None:
            self._going.cancel()
        for runs in self._runs.values():
            runs.close()
