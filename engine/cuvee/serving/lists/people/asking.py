"""RecommendUsers: every user of a product is scored, in batches beside all other calls, and the best are listed."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cuvee.config import Limits
from cuvee.errors import DeadlineExceeded, UnavailableError
from cuvee.ranking.plan import Plan
from cuvee.recommender import History
from cuvee.serving.deadline import left_until
from cuvee.serving.fields import MOST_EXCLUDED, check_filter, check_id, check_ids, length_of
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.hooks import HistoryFailed, Hooks
from cuvee.serving.lists.pages import LONGEST, Page, Pages
from cuvee.serving.lists.people.audience import Audience, look_for, nobody_of, rows_of, yardstick
from cuvee.serving.lists.people.judging import Opinion, Wanted
from cuvee.serving.lists.people.writing import Told
from cuvee.serving.lists.runs import Runs
from cuvee.serving.lists.users import StoredUsers
from cuvee.serving.live.products import Served
from cuvee.serving.scheduling.batching import BATCH
from cuvee.serving.threads import AllTaken, Threads
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["People"]

T = TypeVar("T")

LONGEST_PAGE = 1000
MOST = 10_000
"""Users that the pages of one list hold together."""
MARK = 8
"""Bytes that stand for one user in a token."""
LONGEST_TOKEN = LONGEST + MOST * MARK * 4 // 3


class People:
    """Answers to whom an item should be shown."""

    def __init__(
        self,
        limits: Limits,
        hooks: Hooks,
        edge: Edge,
        stored: StoredUsers | None,
        pages: Pages,
        runs: Callable[[str], Runs],
    ) -> None:
        """``runs`` gives those of a product by its name."""
        self._most, self._hooks, self._edge, self._stored = limits.users, hooks, edge, stored
        self._pages, self._runs = pages, runs
        self._threads = Threads("people", max(2, limits.threads // 2))

    async def answer(self, request: pb.RecommendUsersRequest, served: Served, deadline: float) -> bytes:
        """A RecommendUsersResponse on the wire, by a deadline (monotonic).

        Raises:
            InvalidArgument: naming the field.
            PageGone: the models or the configuration of the token were replaced.
            UnavailableError: the store cannot be read.
            DeadlineExceeded: there are more users than could be looked at in the time.
        """
        wanted = _length(request.page_size, served)
        item_id = check_id("item_id", request.item_id, required=True)
        check_ids("exclude_user_ids", request.exclude_user_ids, MOST_EXCLUDED)
        check_filter(request.filter)
        page = self._pages.page(request, LONGEST_TOKEN)
        page.check(served)
        served, _, failed = await self._edge.now(served, "", deadline)
        if failed is not None:
            raise UnavailableError(f"{failed.detail}, and it alone knows who was deleted; try again later")
        page.check(served)
        item = served.snapshot.data.catalog.items.position(item_id)
        audience = await self._work(deadline, self._audience, request, served)
        before = len(page.shown) // MARK
        told = Told(request, served, before, audience.narrowed, audience.unknown)
        best: list[tuple[float, str, Opinion]] = []
        if item >= 0 and _may_be_shown(served.snapshot.plan, item):
            ids = await self._work(deadline, self._not_shown, audience, page)
            k = min(wanted, MOST - before)
            best = await self._best(served, ids, Wanted(item, request.include_seen), k, told, deadline)
        shown = page.shown + b"".join(self._pages.mark(user_id) for _, user_id, _ in best)
        more = told.scored > len(best) and before + len(best) < MOST
        token = self._pages.token(page, served, shown) if more and best else ""
        return await self._work(deadline, told.message, best, token, item >= 0)

    def _audience(self, request: pb.RecommendUsersRequest, served: Served) -> Audience:
        excluded = frozenset(request.exclude_user_ids)
        found = look_for(served, self._stored, request.filter, excluded, self._most)
        return found._replace(unknown=nobody_of(served, self._stored, request.exclude_user_ids))

    def _not_shown(self, audience: Audience, page: Page) -> Sequence[str]:
        """The users whom no earlier page had."""
        if not page.shown:
            return audience.user_ids
        shown = {page.shown[at : at + MARK] for at in range(0, len(page.shown), MARK)}
        return [one for one in audience.user_ids if self._pages.mark(one) not in shown]

    async def _best(
        self, served: Served, ids: Sequence[str], wanted: Wanted, k: int, told: Told, deadline: float
    ) -> list[tuple[float, str, Opinion]]:
        """The k best users, by minus their score, then by id."""
        best: list[tuple[float, str, Opinion]] = []
        listed = await self._work(deadline, yardstick, served, wanted.item)
        runs = self._runs(served.snapshot.product.name)
        for at in range(0, len(ids), BATCH):
            some = ids[at : at + BATCH]
            loaded = await self._histories(served, some, told, deadline) if self._hooks.loads else {}
            rows = await self._work(deadline, rows_of, served, self._stored, some, listed, loaded)
            found = await runs.ask_about([row for _, row in rows], wanted, deadline) if rows else []
            new = []
            for (user_id, _), judged in zip(rows, found, strict=True):
                if isinstance(judged, Exception):
                    raise judged
                opinion, reports = judged
                told.took_part(reports)
                if opinion is not None:
                    told.scored += 1
                    new.append((-opinion.score, user_id, opinion))
            best = heapq.nsmallest(k, [*best, *new], key=lambda one: one[:2])
        return best

    async def _histories(
        self, served: Served, ids: Sequence[str], told: Told, deadline: float
    ) -> Mapping[str, History]:
        """What plugins know of these users' histories."""
        product = served.snapshot.product.name
        found = await asyncio.gather(
            *(self._hooks.history(product, user_id, deadline) for user_id in ids), return_exceptions=True
        )
        for one in found:
            if isinstance(one, HistoryFailed):
                told.history_failed = True
            elif isinstance(one, BaseException):
                raise one
        return {user_id: one for user_id, one in zip(ids, found, strict=True) if isinstance(one, History)}

    async def _work(self, deadline: float, work: Callable[..., T], *given: object) -> T:
        """Call in a thread, by a deadline."""
        try:
            return await self._threads.in_turn(left_until(deadline), work, *given)
        except TimeoutError:
            raise DeadlineExceeded(
                "there are more users than can be looked at in this time; narrow the filter, or allow more"
            ) from None
        except AllTaken:
            raise UnavailableError("too many such lists are being made; try again") from None

    def close(self) -> None:
        """Let idle threads go."""
        self._threads.close()


def _length(page_size: int, served: Served) -> int:
    """The coerced page size; the product's greatest one is for items."""
    sizes = served.snapshot.product.page_size
    return length_of(page_size, sizes.model_copy(update={"max": LONGEST_PAGE}))


def _may_be_shown(plan: Plan, item: int) -> bool:
    return plan.eligible is None or (item < len(plan.eligible) and bool(plan.eligible[item]))
