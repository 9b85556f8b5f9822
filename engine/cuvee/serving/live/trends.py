"""Updates of models with all users' events since their fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from cuvee.artifacts.snapshot import Snapshot
from cuvee.data.store import Store
from cuvee.ranking.plan import Plan
from cuvee.recommender import Activity, Recommender
from cuvee.serving.live.activity import SinceFit

__all__ = ["Trends", "with_models"]

log = structlog.get_logger(__name__)

Models = Mapping[str, Recommender[Any]]
"""By name."""


class Trends:
    """The new events of each product. Every method may block; only one thread at a time may call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failed: set[tuple[str, str]] = set()

    def since(self, snapshot: Snapshot) -> SinceFit | None:
        """The events that the models of a newly loaded snapshot have not learnt from; None where none uses them."""
        if not _willing(snapshot):
            return None
        product = snapshot.product
        return SinceFit(self._store, product.name, product.events, snapshot.data, snapshot.manifest.events_until)

    def counted(self, snapshot: Snapshot, since: SinceFit | None) -> Models:
        """The models of a snapshot that all events read so far change, updated."""
        if since is None:
            return {}
        activity = since.activity(snapshot.data.catalog.items)
        made = {name: self._updated(snapshot, name, model, activity) for name, model in _willing(snapshot).items()}
        return {name: model for name, model in made.items() if model is not None}

    def _updated(
        self, snapshot: Snapshot, name: str, model: Recommender[Any], activity: Activity
    ) -> Recommender[Any] | None:
        key = snapshot.product.name, name
        try:
            found = model.updated(activity)
        except Exception:
            if key not in self._failed:
                log.exception("model cannot be updated", product=key[0], recommender=name)
            self._failed.add(key)
            return None
        self._failed.discard(key)
        return found


def _willing(snapshot: Snapshot) -> Models:
    """The models that can be updated with new events."""
    return {name: model for name, model in snapshot.models.items() if type(model).updated is not Recommender.updated}


def with_models(snapshot: Snapshot, models: Models) -> Snapshot:
    """A snapshot with some of its models replaced."""
    if not models:
        return snapshot

    def updated(_label: str, plan: Plan) -> Plan:
        sources, fallback = (
            [replace(source, recommender=models.get(source.name, source.recommender)) for source in these]
            for these in (plan.sources, plan.fallback)
        )
        return replace(plan, sources=sources, fallback=fallback)

    return snapshot.replanned(updated)
