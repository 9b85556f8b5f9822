"""The desk that every call passes behind the gate: is there room for it, and has its client or product a rest?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from cuvee.config.limits import Limits
from cuvee.errors import DeadlineExceeded, Overloaded, RateLimited
from cuvee.product import Product, Rate
from cuvee.serving.access.caller import Caller, Kind
from cuvee.serving.access.rules import EVERY_PRODUCT, RULES
from cuvee.serving.admission.lanes import LANES, Lane
from cuvee.serving.admission.rates import Buckets
from cuvee.serving.admission.restraint import Restraint
from cuvee.serving.telemetry.figures import Figures, Readings
from cuvee.v1.recommendation_pb2 import BatchRecommendRequest

__all__ = ["Desk", "Window"]

NEARLY = 0.02
"""Seconds before its deadline from which on a call that its caller has given up counts as too late."""
Context = grpc.aio.ServicerContext[Any, Any]


class Desk:
    """Of one server."""

    def __init__(self, limits: Limits, products: Mapping[str, Product], figures: Figures) -> None:
        self.lanes: Mapping[str, Lane] = {
            name: Lane(name, getattr(limits.lanes, name)) for name in type(limits.lanes).model_fields
        }
        self._figures = figures
        figures.watch("cuvee_lane_calls", self._calls)
        self._restraint = Restraint(limits.refusals)
        self._client = Buckets(limits.client_rate) if limits.client_rate else None
        self._clients = {name: Buckets(rate) for name, rate in limits.clients.items()}
        self._products = {name: Buckets(one.rate) for name, one in products.items() if one.rate}

    def rate(self, product: str, rate: Rate | None) -> None:
        """Grant so many calls for a product from now on."""
        if rate is None:
            self._products.pop(product, None)
        else:
            self._products[product] = Buckets(rate)

    def _calls(self) -> Readings:
        found: dict[tuple[str, ...], float] = {}
        for name, lane in self.lanes.items():
            found[name, "in_flight"], found[name, "waiting"] = lane.in_flight, lane.waiting
        return found

    def refused(self, lane: str, problem: Overloaded) -> None:
        """Count a refusal, and pause where there are too many for lack of room.

        One client who asks more often than he may is no reason to pause for all.
        """
        self._figures.count("cuvee_shed_total", lane, problem.reason)
        if not isinstance(problem, RateLimited):
            self._restraint.refused()

    def window(self, method: str) -> Window:
        """The checks of ``/package.Service/Method``."""
        return Window(self, method)

    def check_client(self, caller: Caller, context: Context) -> None:
        """Count a call of a client.

        Raises:
            RateLimited: he calls too often.
        """
        if self._client is None and not self._clients:
            return
        buckets = self._clients.get(caller.id, self._client)
        seconds = buckets.take(key_of(caller, context)) if buckets is not None else 0.0
        if seconds:
            raise RateLimited("this client asks more often than it may ([server.limits] client_rate)", seconds)

    def check_products(self, counts: Mapping[str, int]) -> None:
        """Count calls for products.

        Raises:
            RateLimited: there are more of them than one of these products grants.
        """
        for product, n in counts.items():
            buckets = self._products.get(product)
            seconds = buckets.take(product, n) if buckets is not None else 0.0
            if seconds:
                raise RateLimited(f"the product {product!r} is asked more often than it may be (its rate)", seconds)

    @property
    def rates_products(self) -> bool:
        """Whether any product has a rate."""
        return bool(self._products)


class Window:
    """The checks of one rpc."""

    def __init__(self, desk: Desk, method: str) -> None:
        self._desk = desk
        self._lane = desk.lanes.get(LANES.get(method, ""))
        self._name = LANES.get(method, "")
        rule = RULES.get(method)
        self._products: Callable[[Any], Iterable[str]] | None = rule.products if rule is not None else None

    async def enter(self, request: Message | None, caller: Caller, context: Context, deadline: float) -> float:
        """Let a call in as soon as there is room for it; it has to :meth:`leave`, with what this returns.

        Args:
            request: None where requests are a stream.
            caller: who makes the call.
            context: gRPC's.
            deadline: in the time of ``time.monotonic``.

        Raises:
            Overloaded: there is no room in time, or the client or the product is over its rate.
        """
        try:
            self._check_rates(request, caller, context)
            if self._lane is not None and not self._lane.enter():
                await self._lane.wait(key_of(caller, context), deadline)
        except Overloaded as problem:
            self._desk.refused(self._name, problem)
            raise
        return time.monotonic()

    def _check_rates(self, request: Message | None, caller: Caller, context: Context) -> None:
        self._desk.check_client(caller, context)
        if self._desk.rates_products and self._products is not None and request is not None:
            counted = {name: 1 for name in self._products(request) if name != EVERY_PRODUCT}
            if isinstance(request, BatchRecommendRequest):
                counted[request.product] = max(len(request.requests), 1)
            self._desk.check_products(counted)

    def leave(self, entered: float) -> None:
        """A call has ended."""
        if self._lane is not None:
            self._lane.leave(time.monotonic() - entered)

    def told(self, problem: BaseException | None, deadline: float) -> None:
        """What a call has ended with (None: an answer), and until when it had time (monotonic)."""
        if self._lane is None:
            return
        if problem is None:
            self._lane.in_time()
        elif isinstance(problem, DeadlineExceeded | asyncio.CancelledError) and time.monotonic() > deadline - NEARLY:
            self._lane.late()


def key_of(caller: Caller, context: Context) -> str:
    """Who shares a bucket and a turn: all calls with the same credentials; without, those of one connection."""
    return context.peer() if caller.kind is Kind.ANONYMOUS else caller.key
