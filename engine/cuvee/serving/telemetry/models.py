"""What is told of the products' snapshots: their age, versions and sizes."""

from __future__ import annotations

from collections.abc import Iterator

from cuvee.serving.live.products import Products, Served
from cuvee.serving.telemetry.figures import Figures, Readings

__all__ = ["watch_products"]


def watch_products(figures: Figures, products: Products) -> None:
    """Have the snapshots that answer read."""

    def served() -> Iterator[tuple[str, Served]]:
        for name, one in products.served.items():
            if one is not None:
                yield name, one

    def models() -> Readings:
        found: dict[tuple[str, ...], float] = {}
        for name, one in served():
            for source in (source for plan in one.snapshot.plans for source in (*plan.sources, *plan.fallback)):
                entry = one.snapshot.manifest.models.get(source.name)
                plugin, version = (entry.plugin, entry.distribution_version) if entry else ("", "")
                found[name, source.name, plugin, version, source.version] = float(source.recommender is not None)
        return found

    def created() -> Readings:
        return {(name,): one.snapshot.manifest.created.timestamp() for name, one in served()}

    figures.watch("cuvee_snapshot_created_timestamp_seconds", created)
    figures.watch(
        "cuvee_snapshot_info", lambda: {(name, one.snapshot.version, one.revision): 1 for name, one in served()}
    )
    figures.watch("cuvee_model_info", models)
    figures.watch(
        "cuvee_catalogue_items",
        lambda: {(name,): len(one.snapshot.data.catalog.items) for name, one in served()},
    )
