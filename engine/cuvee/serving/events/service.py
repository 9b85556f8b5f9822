"""EventService: events are checked and stored, and only then acknowledged."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow
from cuvee.errors import InvalidArgument, NotFound, RateLimited
from cuvee.product import Rate
from cuvee.serving.admission.rates import Buckets
from cuvee.serving.events.from_wire import MOST_EVENTS, Clock, checked, stored_id
from cuvee.serving.events.streaming import EventStream, settle
from cuvee.serving.events.writing import EventWriter
from cuvee.serving.guard import Context, Malformed, incident_of
from cuvee.serving.live.products import Products
from cuvee.serving.off_loop import StoreCalls
from cuvee.serving.status import problem_of
from cuvee.serving.telemetry.figures import Figures
from cuvee.v1 import events_pb2 as pb
from cuvee.v1 import events_pb2_grpc as rpc

__all__ = ["EventServicer"]

log = structlog.get_logger(__name__)

Result = pb.EventResult


class EventServicer(rpc.EventServiceServicer):
    """Receives events."""

    def __init__(
        self,
        store: Store,
        products: Products,
        calls: StoreCalls,
        leaving: asyncio.Event,
        figures: Figures,
        rates: Mapping[str, Rate | None],
    ) -> None:
        """``leaving`` is set when the server is to stop; streams then end. ``rates``: of a user, by product."""
        self._rates = {name: Buckets(rate) for name, rate in rates.items() if rate is not None}
        self._store = store
        self._products = products
        self._calls = calls
        self._leaving = leaving
        self._writer = EventWriter(store, figures)
        self._clock = Clock()

    def rate(self, product: str, rate: Rate | None) -> None:
        """Take so many events of each user of a product from now on."""
        if rate is None:
            self._rates.pop(product, None)
        else:
            self._rates[product] = Buckets(rate)

    def _check(self, event: pb.Event, result: Result, method: str, *, dry: bool = False) -> EventRow | None:
        """Check an event, fill in its result, and return the row to store; None for one that is not stored."""
        try:
            row = checked(event, self._products.served, self._clock())
            if not dry:
                self._count(row)
        except Exception as problem:  # noqa: BLE001 - one wrong event must not fail the others
            result.event_id, result.outcome = event.event_id, Result.OUTCOME_REJECTED
            result.problem.CopyFrom(problem_of(problem, incident_of(problem, method)))
            return None
        result.event_id = row.event_id
        if self._unknown(row):
            result.item_unknown = True
        return row

    def _count(self, row: EventRow) -> None:
        """Count an event of a user.

        Raises:
            RateLimited: he has more of them than the product takes.
        """
        buckets = self._rates.get(row.product)
        seconds = buckets.take(row.owner) if buckets is not None else 0.0
        if seconds:
            raise RateLimited(
                f"this user has more events than {row.product!r} takes of one user ([events] user_rate); "
                f"there is room in {math.ceil(1000 * seconds)} ms",
                seconds,
            )

    def _unknown(self, row: EventRow) -> bool:
        served = self._products.served[row.product]
        return served is not None and served.snapshot.data.catalog.items.position(row.item_id) < 0

    async def WriteEvents(self, request: pb.WriteEventsRequest, context: Context) -> pb.WriteEventsResponse:  # noqa: N802
        """As the proto says."""
        count = len(request.events)
        if not 0 < count <= MOST_EVENTS:
            raise InvalidArgument("events", f"has {count} entries; 1 to {MOST_EVENTS} are taken")
        answer = pb.WriteEventsResponse()
        dry = request.validate_only
        checked_ones = [self._check(event, answer.results.add(), "WriteEvents", dry=dry) for event in request.events]
        rows = [row for row in checked_ones if row is not None]
        stored: list[bool] = []
        if rows:
            if request.validate_only:
                stored = await self._calls.ask(lambda: self._store.write_events(rows, dry=True))
            else:
                stored = await self._writer.write(rows).stored
        results = [result for result, row in zip(answer.results, checked_ones, strict=True) if row is not None]
        settle(results, stored)
        if not request.validate_only:
            answer.stored_count = sum(stored)
            _tell_unknown(results)
        return answer

    async def StreamEvents(  # noqa: N802
        self, requests: AsyncIterator[pb.StreamEventsRequest | Malformed], context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        """As the proto says."""
        stream = EventStream(self._writer, lambda event, into: self._check(event, into, "StreamEvents"), self._leaving)
        async for answers, results in stream.answers(requests):
            _tell_unknown(results)
            for answer in answers:
                yield answer

    async def MergeUsers(self, request: pb.MergeUsersRequest, context: Context) -> pb.MergeUsersResponse:  # noqa: N802
        """As the proto says."""
        product = request.product
        stored_id("product", product)
        if product not in self._products.served:
            raise NotFound("product", product, sorted(self._products.served))
        anonymous, user = stored_id("anonymous_id", request.anonymous_id), stored_id("user_id", request.user_id)
        if anonymous == user:
            raise InvalidArgument("user_id", "is the anonymous_id, too; there is nothing to merge")
        merged = await self._calls.ask(
            lambda: self._store.merge_users(product, anonymous, user, dry=request.validate_only)
        )
        return pb.MergeUsersResponse(moved_event_count=merged.events, profile_merged=merged.profile)

    def close(self) -> None:
        """Stop idle threads."""
        self._writer.close()


def _tell_unknown(results: Sequence[pb.EventResult]) -> None:
    """Log the number of events whose items are not in the catalogue, without their ids."""
    unknown = sum(r.item_unknown for r in results if r.outcome == Result.OUTCOME_STORED)
    if unknown:
        log.info("events of unknown items", count=unknown)
