"""Readiness: before a snapshot answers callers, a sample of requests is replayed on it.

That finds out whether it can answer at all, and does what the first callers would otherwise wait
for: pages are read in, threads started, caches filled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import structlog

from cuvee.config import Settings
from cuvee.errors import ArtifactError, CuveeError
from cuvee.registry import Registry
from cuvee.serving.lists.service import RecommendationServicer
from cuvee.serving.live.products import Products, Served
from cuvee.serving.workers.suspects import Marks
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Probed", "probe"]

log = structlog.get_logger(__name__)

FAULTS = (pb.DEGRADED_REASON_ERROR, pb.DEGRADED_REASON_INVALID_OUTPUT)
"""What a source does wrong whatever else goes on; a server behind it may be away for a moment."""
USERS = 8
SECONDS = 10.0
"""For the first request, which reads models from disk; the others get what callers get."""


def _sample(served: Served) -> Iterator[pb.RecommendRequest]:
    """Known users, one of them in every variant, a session of nobody's, and somebody about whom nothing is known."""
    data, name = served.snapshot.data, served.snapshot.product.name
    active = np.flatnonzero(data.events.lengths > 0)
    some = active[np.linspace(0, len(active) - 1, min(USERS, len(active)), dtype=np.int64)] if len(active) else active
    for user_id in data.catalog.users.ids(some):
        yield pb.RecommendRequest(product=name, user_id=user_id)
    for label in served.snapshot.variants:
        for user_id in data.catalog.users.ids(some[:1]):
            yield pb.RecommendRequest(product=name, user_id=user_id, variant=label)
    touched = data.catalog.items.ids(np.arange(min(3, data.n_items)))
    yield pb.RecommendRequest(product=name, context_item_ids=touched)
    yield pb.RecommendRequest(product=name, context_item_ids=["\0nothing has this id"])


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found."""

    items: int
    """How many items the lists had together."""
    failing: Mapping[str, str]
    """Sources that raise, break the contract or propose nothing to anybody, and what they did."""


async def probe(settings: Settings, registry: Registry, served: Served, marks: Marks | None = None) -> Probed:
    """Ask a snapshot, with slots and circuits of its own, so that nothing of it is held against a source.

    ``marks`` are those of this worker. Sources that fail are logged, not refused: others answer in their place.

    Raises:
        ArtifactError: the snapshot cannot answer.
    """
    snapshot = served.snapshot
    products = Products([snapshot.product.name])
    products.put(served)
    trial = RecommendationServicer(settings, registry, products, marks=marks)
    degraded: set[str] = set()
    live: set[str] = set()
    proposing: set[str] = set()
    failing: dict[str, str] = {}
    items = 0
    try:
        first, *others = _sample(served)
        await trial.recommend(first, time.monotonic() + SECONDS)
        until = time.monotonic() + settings.server.limits.deadline
        for message in await asyncio.gather(*(trial.recommend(one, until) for one in (first, *others))):
            answer = pb.RecommendResponse.FromString(message)
            items += len(answer.items)
            degraded |= {s.source for s in answer.sources if s.status == pb.SourceStatus.STATUS_DEGRADED}
            failing |= {s.source: pb.DegradedReason.Name(s.reason) for s in answer.sources if s.reason in FAULTS}
            live |= {s.source for s in answer.sources if s.status == pb.SourceStatus.STATUS_LIVE}
            proposing |= {s.source for s in answer.sources if s.candidate_count}
    except CuveeError:
        raise
    except Exception as problem:
        raise ArtifactError(
            f"version {snapshot.version} of product {snapshot.product.name!r} fails its probe: {problem!r}; "
            f"run `cuvee fit {snapshot.product.name}` again"
        ) from problem
    finally:
        trial.close()
    if degraded:
        log.warning("sources fail the probe", product=snapshot.product.name, sources=sorted(degraded))
    silent = sorted(live - degraded - proposing)
    if silent:
        # to one user a source may have nothing to say; to none of the sample, it is broken: a model of NaN, say
        log.warning("sources propose nothing in the probe", product=snapshot.product.name, sources=silent)
    if not items:
        log.warning("the probe's lists are all empty", product=snapshot.product.name)
    return Probed(items, failing | dict.fromkeys(silent, "proposes nothing"))
