"""A product's dataset, as it was imported."""

from __future__ import annotations

from cuvee.config import Settings
from cuvee.data.dataset import Dataset

__all__ = ["imported_data"]


def imported_data(settings: Settings, product: str) -> Dataset:
    """What was imported for a product, memory-mapped.

    Raises:
        DataError: nothing was, or the ids of its users are not kept as ``[privacy]`` says.
    """
    folder = settings.data_dir / settings.products[product].dataset
    data = Dataset.load(folder)
    settings.privacy.pseudonyms.check(data.catalog.users.frame["id"], str(folder))
    return data
