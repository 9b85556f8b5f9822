"""Deletion of events, exposures and answers of experiments beyond their product's retention time, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cuvee.data.store.rows import now
from cuvee.data.store.store import Store
from cuvee.product import Product

__all__ = ["prune"]

DAY = 86_400_000_000
"""Microseconds."""


def prune(store: Store, products: Mapping[str, Product]) -> Iterator[tuple[str, int]]:
    """Delete what is too old; yields after each page the product and the number of events (0 for exposures).

    Raises:
        UnavailableError: the store cannot be reached; what was deleted stays deleted.
    """
    for name, product in products.items():
        days = product.events.retention_days
        if days is None:
            continue
        before = now() - days * DAY
        while count := store.prune(name, before):
            yield name, count
        while store.prune_exposures(name, before):
            yield name, 0
        while store.prune_experiment_answers(name, before):
            yield name, 0
