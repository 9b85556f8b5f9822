"""A catalogue of many items that changes: what a write costs, and how soon every process knows of it.

Run by hand::

    python tests/benchmarks/catalogue.py [ITEMS] [TRIALS]

Two server processes over one SQLite file. Written through the one, asked on the other, whose very next
list must not have what is not available any more. Milliseconds.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from cuvee import Catalog, Dataset, Entities
from cuvee.client import Client, profile
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2 as pb

ITEMS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
TRIALS = int(sys.argv[2]) if len(sys.argv) > 2 else 100
CONFIG = """
[store]
url = "sqlite:///store.db"
[server.limits]
deadline = "10s"
[recommenders.popular]
plugin = "popular"
[recommenders.content]
plugin = "content"
"""
PRODUCT = 'sources = [{ use = "content" }, { use = "popular" }]\n'


def prepare(folder: Path) -> Path:
    """Items with titles, genres and a year; a thousand users with twenty events each; fitted."""
    random = np.random.default_rng(0)
    genres = [f"genre {n}" for n in range(20)]
    frame = pl.DataFrame(
        {
            "id": [f"item-{n:06d}" for n in range(ITEMS)],
            "title": [f"The {n % 977} of {n % 1009}" for n in range(ITEMS)],
            "genres": [[genres[n % 20], genres[n % 7]] for n in range(ITEMS)],
            "year": random.integers(1950, 2020, ITEMS).astype(float),
        }
    )
    users = np.repeat(np.arange(1000), 20)
    catalog = Catalog(Entities.of(frame), Entities.of_ids(f"user-{n}" for n in range(1000)))
    Dataset.build(catalog, users, random.integers(0, ITEMS, len(users))).save(folder / "var/data/films")
    (folder / "products").mkdir()
    (folder / "products/films.toml").write_text(PRODUCT)
    (folder / "cuvee.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml"), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "cuvee.toml"


def upsert(client: Client, item_id: str, **attributes: object) -> None:
    """Write one item."""
    told = profile(attributes).attributes  # type: ignore[arg-type]
    item = pb.Item(item_id=item_id, title="A title", attributes=dict(told.items()))
    client.catalog.UpsertItem(pb.UpsertItemRequest(product="films", item=item), timeout=10)


def told(what: str, took: list[float]) -> None:
    """Print p50 and p99."""
    print(f"{what}: p50 {np.percentile(took, 50):.1f} ms, p99 {np.percentile(took, 99):.1f} ms", flush=True)


def main() -> None:
    """All of it."""
    folder = Path(tempfile.mkdtemp(prefix="cuvee-catalogue-"))
    try:
        config = prepare(folder)
        with run_server(config) as one, run_server(config) as two:
            print(f"{ITEMS:,} items, {TRIALS} trials")
            measure(one.client, two.client)
    finally:
        shutil.rmtree(folder)


def measure(writer: Client, reader: Client) -> None:
    """One change at a time."""
    writes, nexts, new, at_once = [], [], [], 0
    for _ in range(TRIALS):
        shown = reader.recommend("films", "user-1").items[0].item_id
        began = time.perf_counter()
        upsert(writer, shown, available=False)
        writes.append(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
        at_once += shown not in {item.item_id for item in reader.recommend("films", "user-1").items}
        nexts.append(1000 * (time.perf_counter() - began))
    told("UpsertItem, one change", writes)
    told("the next Recommend on another process", nexts)
    print(f"what is not available is gone from it: {at_once / TRIALS:.0%}")
    for trial in range(TRIALS):
        name = f"new-{trial}"
        began = time.perf_counter()
        upsert(writer, name, year=float(3000 + trial), genres=["genre 1"])
        while not reader.recommend("films", "user-1", filter=f"year = {3000 + trial}").items:
            time.sleep(0.005)
        new.append(1000 * (time.perf_counter() - began))
    told("a new item is recommended by another process", new)


if __name__ == "__main__":
    main()
