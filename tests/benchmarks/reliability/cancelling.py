"""Calls that are given up at any moment, and with any deadline."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
from cuvee.v1 import catalog_pb2, catalog_pb2_grpc, events_pb2, events_pb2_grpc
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

__all__ = ["cancelled"]

DEADLINES = (None, -1.0, 0.001, 0.02, 5.0)
"""Seconds."""
TOGETHER = 40


def cancelled(address: str, product: str, users: Sequence[str], count: int, rng: random.Random) -> Counter[str]:
    """So many calls of every kind, each given up after up to 20 ms unless it has ended; their codes."""
    codes: Counter[str] = Counter()
    with grpc.insecure_channel(address) as channel:
        lists, events = rpc.RecommendationServiceStub(channel), events_pb2_grpc.EventServiceStub(channel)
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)

        def begin(n: int) -> Any:
            user, timeout = rng.choice(users), rng.choice(DEADLINES)
            request = pb.RecommendRequest(product=product, user_id=user)
            event = events_pb2.Event(
                product=product, user_id=user, item_id="film-001", type=events_pb2.EVENT_TYPE_VIEW, event_id=f"c{n}"
            )
            match rng.randrange(6):
                case 0:
                    batch = pb.BatchRecommendRequest(product=product, requests=[request] * 8)
                    return lists.BatchRecommend(batch, timeout=timeout)
                case 1:
                    return events.WriteEvents.future(events_pb2.WriteEventsRequest(events=[event]), timeout=timeout)
                case 2:
                    streamed = [events_pb2.StreamEventsRequest(events=[event]) for _ in range(3)]
                    return events.StreamEvents(iter(streamed), timeout=timeout)
                case 3:
                    return catalog.ExportUser(
                        catalog_pb2.ExportUserRequest(product=product, user_id=user), timeout=timeout
                    )
            return lists.Recommend.future(request, timeout=timeout)

        for first in range(0, count, TOGETHER):
            calls = [begin(n) for n in range(first, min(first + TOGETHER, count))]
            rng.shuffle(calls)
            for call in calls:
                time.sleep(rng.uniform(0, 0.02) if rng.random() < 0.1 else 0)
                call.cancel()
            codes.update(call.code().name for call in calls)
    return codes
