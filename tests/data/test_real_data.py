"""The real MovieLens, where a machine has it: ``CUVEE_DATA`` names the folder with ml-1m and ml-100k."""

import os
import time
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.files.cleaning import clean
from cuvee.data.files.readers import ReadOptions, gather

if "CUVEE_DATA" not in os.environ:
    pytest.skip("CUVEE_DATA is not set: it names a folder with ml-1m and ml-100k", allow_module_level=True)

DATA = Path(os.environ["CUVEE_DATA"])


def test_ml_100k_is_read_whole() -> None:
    dataset, report = clean(gather(DATA / "ml-100k", strict=True))
    assert report.dropped == ()
    assert (len(dataset), dataset.n_users, dataset.n_items) == (100_000, 943, 1_682)


@pytest.mark.parametrize("order", [True, False])
def test_ml_1m_keeps_each_users_order(order: bool) -> None:
    folder = DATA / "ml-1m"
    columns = {"user": "user", "item": "item", "time": "ts"} | ({"order": "pos"} if order else {})
    began = time.perf_counter()
    raw = gather(
        folder / "interactions.parquet",
        items=folder / "movies.dat",
        users=folder / "users.dat",
        options=ReadOptions(columns=columns),
    )
    dataset, report = clean(raw)
    assert time.perf_counter() - began < 30
    truth = pl.read_parquet(folder / "interactions.parquet").sort("user", "pos")
    # without an order, the 123 events that have no time cannot be placed
    truth = truth if order else truth.filter(pl.col("ts").is_not_null())
    assert report.interactions.kept == len(truth) == (999_611 if order else 999_488)
    found = pl.DataFrame(
        {
            "user": dataset.catalog.users.ids(dataset.users),
            "item": dataset.catalog.items.ids(dataset.events.items),
        }
    ).sort(pl.col("user").cast(pl.Int32), maintain_order=True)
    assert found.equals(truth.select(pl.col("user", "item").cast(pl.String)))
