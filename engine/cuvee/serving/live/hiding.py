"""Items that no list may show, taken out of the masks of a product's plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cuvee.artifacts.snapshot import Snapshot
from cuvee.data.store.catalogue.overlay import hidden
from cuvee.ranking.plan import Plan
from cuvee.recommender import Bools
from cuvee.serving.live.products import Served

__all__ = ["Allowed", "allowed", "showing", "without_hidden"]

Allowed = Mapping[str, Bools | None]
"""bool[N], or None for all, by label of a product's variant; the product's own label is empty."""


def _both(may: Bools | None, gone: Bools) -> Bools | None:
    """bool[N]: the items that the rules allow and that are not hidden."""
    if not gone.any():
        return may
    return ~gone if may is None else may & ~gone


def allowed(snapshot: Snapshot) -> Allowed:
    """What the rules of a snapshot allow, where nothing was hidden in it yet."""
    return {"": snapshot.plan.eligible, **{label: one.plan.eligible for label, one in snapshot.variants.items()}}


def showing(served: Served, may: Allowed, gone: Bools) -> Served:
    """The same, with what the rules allow less what is gone: bool[N]."""
    made: dict[int, Bools | None] = {}  # variants with equal rules share a mask

    def without(label: str, plan: Plan) -> Plan:
        mine = may[label]
        if id(mine) not in made:
            made[id(mine)] = _both(mine, gone)
        return replace(plan, eligible=made[id(mine)])

    return replace(served, snapshot=served.snapshot.replanned(without))


def without_hidden(served: Served) -> Served:
    """The same, with items that were imported as not available hidden; used without a store."""
    return showing(served, allowed(served.snapshot), hidden(served.snapshot.plan.catalog.items, ()))
