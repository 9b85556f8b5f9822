"""RecommendationService: each rpc is a check at the edge, a run, and an answer."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from cuvee.config import Settings
from cuvee.errors import InvalidArgument
from cuvee.registry import Registry
from cuvee.serving.deadline import BULK_PATIENCE
from cuvee.serving.fields import MOST_REQUESTS, check_id
from cuvee.serving.guard import Context, deadline_of, incident_of
from cuvee.serving.lists.answers import Made, only_checked
from cuvee.serving.lists.drafts import Row
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.exposures import Exposures
from cuvee.serving.lists.hooks import Hooks
from cuvee.serving.lists.pages import Pages
from cuvee.serving.lists.people.asking import People
from cuvee.serving.lists.runs import Runs
from cuvee.serving.lists.shadows import Shadows
from cuvee.serving.lists.users import StoredUsers
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.products import Products, Served
from cuvee.serving.scheduling.batching import BATCH
from cuvee.serving.scheduling.core import Core
from cuvee.serving.status import problem_of
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.workers.suspects import Marks
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["RecommendationServicer"]


class _ByProduct(dict[str, Runs]):
    """The runs of each product, made when it is first asked for; kept, so that one that comes again goes on."""

    def __init__(self, make: Callable[[str], Runs]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, product: str) -> Runs:
        """A new product's."""
        made = self[product] = self._make(product)
        return made


class RecommendationServicer(rpc.RecommendationServiceServicer):
    """Answers what can be asked about lists. Its answers are messages that are on the wire already."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        products: Products,
        stored: StoredUsers | None = None,
        exposures: Exposures | None = None,
        growth: Growth | None = None,
        marks: Marks | None = None,
        figures: Figures | None = None,
        pressure: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Without ``stored`` and ``growth`` users and items are as they were imported.

        Without ``exposures`` nothing that is shown is kept. ``marks`` are those of a worker with a supervisor.
        ``pressure`` says how near the server is to refusing lists, from 0 to 1.
        """
        limits = settings.server.limits
        self._products = products
        self._longest, self._bulk = limits.deadline, limits.answer_stream
        self._exposures = exposures
        self._hooks = Hooks(registry, limits.threads)
        table = settings.server.pages
        pages = Pages(table.secret(settings.root), table.expire, table.most)
        self._edge = Edge(self._hooks, limits.threads, stored, growth, pages)
        self._core = Core(marks)
        seen = figures or Figures()
        self._runs = _ByProduct(lambda name: Runs(name, limits, self._hooks, self._edge, self._core, seen, pressure))
        self._people = People(limits, self._hooks, self._edge, stored, pages, self._runs.__getitem__)
        for name in products.served:
            _ = self._runs[name]
        self._shadows: Shadows | None = None
        if figures is not None:  # a probe has neither
            self._shadows = Shadows(
                limits, products, self._edge, self._core, seen, pressure, lambda name: self._runs[name].waiting
            )

    def _current(self, product: str) -> Served:
        return self._products.current(check_id("product", product, required=True))

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> bytes:  # type: ignore[override]  # noqa: N802
        """As the proto says.

        When all sources and the whole fallback chain fail, the newest items of the catalogue fill the
        list; that is OK and degraded.
        """
        return await self.recommend(request, deadline_of(context, self._longest))

    async def recommend(self, request: pb.RecommendRequest, deadline: float) -> bytes:
        """A RecommendResponse on the wire, by a deadline (monotonic)."""
        draft = self._edge.recommend(request, self._current(request.product))
        if request.validate_only:
            return only_checked(await self._edge.row(draft, deadline))
        made = await self._runs[request.product].ask(draft, deadline)
        if self._shadows is not None:
            self._shadows.note(request, made)
        return self._shown(made)

    def _shown(self, made: Made) -> bytes:
        if self._exposures is not None:
            self._exposures.note(made)
        return made.message

    async def SimilarItems(self, request: pb.SimilarItemsRequest, context: Context) -> bytes:  # type: ignore[override]  # noqa: N802
        """As the proto says."""
        draft = self._edge.similar(request, self._current(request.product))
        made = await self._runs[request.product].ask(draft, deadline_of(context, self._longest))
        return self._shown(made)

    async def Rank(self, request: pb.RankRequest, context: Context) -> bytes:  # type: ignore[override]  # noqa: N802
        """As the proto says."""
        draft = self._edge.rank(request, self._current(request.product))
        return (await self._runs[request.product].ask(draft, deadline_of(context, self._longest))).message

    async def BatchRecommend(  # noqa: N802
        self, request: pb.BatchRecommendRequest, context: Context
    ) -> AsyncIterator[pb.BatchRecommendResponse]:
        """As the proto says. The server's limit of time is a single call's; here each batch gets a multiple of it."""
        served = self._current(request.product)
        count = len(request.requests)
        if not 0 < count <= MOST_REQUESTS:
            raise InvalidArgument("requests", f"has {count} entries; 1 to {MOST_REQUESTS} are taken")
        deadline = deadline_of(context, BULK_PATIENCE * self._longest * math.ceil(count / BATCH))
        tasks = [
            asyncio.ensure_future(self._part(request, range(first, min(first + BATCH, count)), served, deadline))
            for first in range(0, count, BATCH)
        ]
        try:
            for done in asyncio.as_completed(tasks):
                for result in await done:
                    yield result
        finally:
            for task in tasks:
                task.cancel()

    async def _part(
        self, batch: pb.BatchRecommendRequest, part: range, served: Served, deadline: float
    ) -> list[pb.BatchRecommendResponse]:
        """The results of some of a batch's requests."""
        results = {at: pb.BatchRecommendResponse(index=at, user_id=batch.requests[at].user_id) for at in part}

        def failed(which: Sequence[int], problem: Exception) -> None:
            incident = incident_of(problem, "BatchRecommend")
            for at in which:
                results[at].problem.CopyFrom(problem_of(problem, incident))

        kinds: dict[tuple[object, ...], list[tuple[int, Row]]] = defaultdict(list)
        for at in part:
            one = batch.requests[at]
            try:
                _check_same_product(one, batch)
                row = await self._edge.row(self._edge.recommend(one, served), deadline)
            except Exception as problem:  # noqa: BLE001 - a request that is wrong leaves the others alone
                failed([at], problem)
                continue
            if one.validate_only:
                results[at].response.MergeFromString(only_checked(row))
            else:
                kinds[row.kind].append((at, row))
        for rows in kinds.values():
            which = [at for at, _ in rows]
            try:
                made = await self._runs[batch.product].ask_many([row for _, row in rows], deadline)
                for at, one_made in zip(which, made, strict=True):
                    if isinstance(one_made, Exception):
                        failed([at], one_made)
                    else:
                        results[at].response.MergeFromString(self._shown(one_made))
            except Exception as problem:  # noqa: BLE001 - as above
                failed(which, problem)
        await asyncio.sleep(0)  # others may have their turn between parts
        return list(results.values())

    async def RecommendUsers(self, request: pb.RecommendUsersRequest, context: Context) -> bytes:  # type: ignore[override]  # noqa: N802
        """As the proto says."""
        return await self._people.answer(request, self._current(request.product), deadline_of(context, self._bulk))

    def open_circuits(self, product: str) -> Mapping[str, bool]:
        """By source of a product, as far as they were asked, whether it is left alone since it kept failing."""
        return self._runs[product].budget.open() if product in self._runs else {}

    def silent(self) -> Mapping[str, bool]:
        """By product, whether none of its sources has answered of late, though they were asked."""
        return {name: runs.silent for name, runs in self._runs.items() if name in self._products.served}

    def close(self) -> None:
        """Let idle threads go."""
        if self._shadows is not None:
            self._shadows.close()
        for runs in self._runs.values():
            runs.close()
        self._people.close()
        self._core.close()
        self._edge.close()
        self._hooks.close()


def _check_same_product(one: pb.RecommendRequest, batch: pb.BatchRecommendRequest) -> None:
    if one.product not in {"", batch.product}:
        raise InvalidArgument("product", f"differs from the batch's, {batch.product!r}; leave it empty")
