"""A product's dataset, as it was imported."""

from __future__ import annotations

from cuvee.config import Settings
from cuvee.data.dataset import Chronology, Dataset

__all__ = ["imported_data", "time_warnings"]


def imported_data(settings: Settings, product: str) -> Dataset:
    """What was imported for a product, memory-mapped.

    Raises:
        DataError: nothing was, or the ids of its users are not kept as ``[privacy]`` says.
    """
    folder = settings.data_dir / settings.products[product].dataset
    data = Dataset.load(folder)
    settings.privacy.pseudonyms.check(data.catalog.users.frame["id"], str(folder))
    return data


def time_warnings(settings: Settings, product: str, data: Dataset) -> list[str]:
    """Settings that use times or an order of events which the product's dataset does not have, by recommender."""
    warnings = []
    for name in settings.products[product].recommenders:
        config = settings.recommenders[name].config
        if data.chronology is Chronology.NONE and config.needs_order is not None:
            warnings.append(
                f"{name} ({config.needs_order}) means nothing here, as nothing tells which events came first; "
                "import them with --map time=COLUMN or --map order=COLUMN, or turn it off"
            )
        if data.chronology is not Chronology.TIMES and config.needs_times is not None:
            warnings.append(
                f"{name} ({config.needs_times}) means nothing here, as the events have no times; "
                "import them with --map time=COLUMN, or turn it off"
            )
    return warnings
