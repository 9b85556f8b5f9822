"""``available`` is a flag whatever it looks like: as it was imported, in what is written, and in the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities
from cuvee.client import Client, failure_of
from cuvee.data.store import Database
from cuvee.data.store.database import located
from cuvee.data.store.tables import HEADS, ITEMS
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2 as pb
from sqlalchemy import Connection, select, update

from ..catalog_calls import get, item, plain, soon, upsert
from ..conftest import ENVIRONMENT, migrated, with_tables

COLUMNS = {
    "flag": pl.Series([True, False, None, True]),
    "int8": pl.Series([1, 0, None, 1], dtype=pl.Int8),
    "float": pl.Series([1.0, 0.0, float("nan"), 1.0]),
    "digits": pl.Series(["1", "0", "", "1.0"]),
    "letters": pl.Series(["t", "f", "n/a", "T"]),
    "words": pl.Series(["Yes", "NO", "-", " y "]),
    "one_bad": pl.Series(["true", "false", "n/a", "true"], dtype=pl.Categorical),
    "none_known": pl.Series([None, None, None, None], dtype=pl.Null),
}
"""How an import of earlier days kept it: the second item is hidden, the third not known to be."""
IDS = ["first", "hidden", "unknown", "last"]


def dataset(available: pl.Series) -> Dataset:
    frame = pl.DataFrame({"id": IDS, "year": [2001.0, 2002.0, 2003.0, 2004.0], "available": available})
    catalog = Catalog(Entities.of(frame), Entities.of_ids(["u", "v"]))
    return Dataset.build(catalog, [0, 0, 1], [0, 3, 1], np.arange(3) + 1e9)


def configuration(folder: Path, store: str, *only: str) -> Path:
    (folder / "products").mkdir(parents=True)
    (folder / "var/data").mkdir(parents=True)
    for name in only or COLUMNS:
        column = COLUMNS[name]
        dataset(column).save(folder / "var/data" / name)
        (folder / f"products/{name}.toml").write_text(
            f'dataset = "{name}"\nsources = [{{ use = "newest" }}]\nrules = []\n'
        )
    config = folder / "cuvee.toml"
    config.write_text(f'[store]\nurl = "{store}"\n[recommenders.newest]\nplugin = "newest"\n')
    fit = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(config)]
    subprocess.run(fit, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True)
    return config


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path_factory.mktemp('available') / 'store.db'}")
    return with_tables(request.getfixturevalue("postgres").url, "available")


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    config = configuration(tmp_path_factory.mktemp("flags"), url)
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running.client


def shown(client: Client, product: str) -> set[str]:
    return {i.item_id for i in client.recommend(product, "somebody", page_size=50).items}


@pytest.mark.parametrize("product", COLUMNS)
def test_however_it_was_imported_it_hides_and_can_be_written(client: Client, product: str):
    hidden = product != "none_known"
    assert shown(client, product) == set(IDS) - ({"hidden"} if hidden else set())
    assert plain(get(client, "first", product)).get("available") == (True if hidden else None)
    upsert(client, item("last", available=False), product=product)
    assert "last" not in shown(client, product)
    assert plain(get(client, "last", product))["available"] is False
    upsert(client, item("last", available=True), product=product)
    soon(lambda: "last" in shown(client, product))
    upsert(client, item("hidden", available=True), product=product)
    soon(lambda: "hidden" in shown(client, product))
    upsert(client, item("hidden", year=2020), product=product)
    upsert(client, item("hidden", available=False), product=product)
    assert "hidden" not in shown(client, product)
    found = client.catalog.ListItems(pb.ListItemsRequest(product=product, filter="NOT available"), timeout=5).items
    assert [one.item_id for one in found] == ["hidden"]


@pytest.mark.parametrize(
    ("product", "given"),
    [("int8", False), ("int8", 0), ("int8", "0"), ("int8", " N "), ("words", "no"), ("words", 0.0), ("one_bad", "F"),
     ("none_known", "off"), ("none_known", 0)],
)  # fmt: skip
def test_what_looks_like_false_hides_and_is_kept_as_a_flag(client: Client, product: str, given: object):
    upsert(client, item("last", available=True), product=product)
    soon(lambda: "last" in shown(client, product))
    upsert(client, item("last", available=given), product=product)
    assert "last" not in shown(client, product)
    assert plain(get(client, "last", product))["available"] is False
    upsert(client, item("last", available={False: True, "false": "true", "0": "1"}.get(given, "yes")), product=product)
    soon(lambda: "last" in shown(client, product))
    assert plain(get(client, "last", product))["available"] is True


@pytest.mark.parametrize("given", [2, -1, 0.5, "maybe", "2024-01-01", ["true"], ["false", "true"], []])
def test_what_is_no_flag_is_refused_and_told_what_is(client: Client, given: object):
    with pytest.raises(grpc.RpcError) as problem:
        upsert(client, item("last", available=given), product="int8")
    failure = failure_of(problem.value)
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.field == "item.attributes[available]"
    assert "true or false" in failure.message
    batch = pb.BatchUpsertItemsRequest(product="int8", items=[item("last", available=given), item("first", year=1.0)])
    results = client.catalog.BatchUpsertItems(batch, timeout=5).results
    assert [r.outcome == pb.UPSERT_OUTCOME_REJECTED for r in results] == [True, False]


@pytest.mark.parametrize("given", ["n/a", "", None])
def test_a_word_for_not_known_is_not_known(client: Client, given: object):
    upsert(client, item("last", available=True), product="float")
    upsert(client, item("last", available=given), product="float")
    assert "available" not in plain(get(client, "last", "float"))
    soon(lambda: "last" in shown(client, "float"))


def test_a_new_product_column_is_a_flag_from_the_first_value_on(client: Client, new_id: str):
    """Where no import had one, a number that comes first does not make it a column of numbers."""
    upsert(client, item(new_id, year=2030, available=0), product="none_known")
    assert new_id not in shown(client, "none_known")
    upsert(client, item(new_id, available=True), product="none_known")
    soon(lambda: new_id in shown(client, "none_known"))
    client.catalog.DeleteItem(pb.DeleteItemRequest(product="none_known", item_id=new_id), timeout=5)


@pytest.mark.parametrize("kept", [0, 0.0, "false", "N"])
def test_what_an_older_server_has_stored_hides_too(client: Client, url: str, kept: object, new_id: str, tmp_path: Path):
    upsert(client, item(new_id, year=2040, available=True), product="letters")
    soon(lambda: new_id in shown(client, "letters"))
    old = json.dumps({"year": 2040.0, "available": kept})

    def write(connection: Connection) -> None:
        connection.execute(update(HEADS).where(HEADS.c.product == "letters").values(revision=HEADS.c.revision + 1))
        newest = select(HEADS.c.revision).where(HEADS.c.product == "letters").scalar_subquery()
        connection.execute(update(ITEMS).where(ITEMS.c.item_id == new_id).values(attributes=old, revision=newest))

    database = Database(located(url, tmp_path))
    database.write(write)
    database.close()
    assert new_id not in shown(client, "letters")
    # also when the catalogue was made anew with the row
    upsert(client, item("first", year=2050), product="letters")
    soon(lambda: client.recommend("letters", "somebody", page_size=1).items[0].item_id == "first")
    assert new_id not in shown(client, "letters")


def test_without_a_store_what_was_imported_hides(tmp_path: Path):
    kept = ("flag", "int8", "words", "none_known")
    with run_server(configuration(tmp_path, "", *kept), environment=ENVIRONMENT) as running:
        for product in kept:
            hidden = set() if product == "none_known" else {"hidden"}
            assert shown(running.client, product) == set(IDS) - hidden
            ranked = running.client.rank(product, ["hidden", "first"], "somebody")
            assert len(ranked.items) == 2, "the caller chose them"


def test_an_import_into_the_store_reads_it_alike(url: str, tmp_path: Path):
    config = configuration(tmp_path, url, "digits")
    for at, (given, deleted) in enumerate([(["0", "yes"], ["no", "n"]), (["f", "t"], ["false", "0"])]):
        pl.DataFrame(
            {"item": ["first", f"new-{at}"], "year": [2001, 2050], "available": given, "deleted": deleted}
        ).write_parquet(tmp_path / f"{at}.parquet")
        done = subprocess.run(
            [sys.executable, "-m", "cuvee.cli", "import", "--items", str(tmp_path / f"{at}.parquet"),
             "--product", "digits", "--config", str(config)],
            env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    with run_server(config, environment=ENVIRONMENT) as running:
        assert {"first", "hidden"}.isdisjoint(shown(running.client, "digits"))
        assert {"new-0", "new-1"} <= shown(running.client, "digits")
        assert plain(get(running.client, "new-1", "digits"))["available"] is True
