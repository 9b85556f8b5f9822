"""Items that live for days: the offers of a grocer's weekly leaflet. Every Monday all of them are new to every model.

``python docs/examples/offers/run.py [FOLDER]``; what it writes lies in FOLDER, by default var/examples/offers.

An item is a product in the leaflet of one week, an event the purchase of one in its week. The models are fitted on
the weeks before the last; then the last week's offers come in, and lists are compared with what was bought.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import polars as pl
from cuvee.client import Client
from cuvee.data.files.fetch import fetch
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2, recommendation_pb2

HERE = Path(__file__).resolve().parent
FIRST, LAST = 48, 52
"""Weeks of 2017."""
ASKED = 200
"""Households whose lists are compared with what they bought."""


def cuvee(*arguments: str | Path) -> None:
    """Run a command of ``cuvee`` in the working folder, and show it."""
    print("\n$ cuvee", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "cuvee.cli", *arguments], check=True)  # noqa: S603 - no shell, our own words


def prepare(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Offers and what was bought of them, moved in time as if the last week had begun a minute ago."""
    weeks = pl.col("week").is_between(FIRST, LAST)
    leaflet = pl.scan_parquet(data / "promotions.parquet").filter(weeks & (pl.col("mailer_location") != "0"))
    offered = leaflet.select("product_id", "week").unique().collect()
    sold = pl.read_parquet(data / "transactions.parquet").filter(weeks).join(offered, ["product_id", "week"])
    began = sold.filter(pl.col("week") == LAST)["transaction_timestamp"].min()
    assert isinstance(began, datetime)  # noqa: S101 - for the type checker
    later = pl.duration(seconds=int(time.time() - 60 - began.timestamp()))
    name = pl.concat_str("product_id", pl.lit("@"), "week")
    bought = sold.select(
        user="household_id", item=name, time=pl.col("transaction_timestamp") + later, week="week"
    ).unique(["user", "item"], keep="first", maintain_order=True)  # fmt: skip
    title = pl.concat_str("product_type", "package_size", separator=", ", ignore_nulls=True).str.to_titlecase()
    published = pl.lit(began) + later - pl.duration(weeks=LAST - pl.col("week"))
    offers = offered.join(pl.read_parquet(data / "products.parquet"), "product_id").select(
        item=name, title=title, category="product_category", department="department", brand="brand",
        published=published.dt.strftime("%Y-%m-%dT%H:%M:%S"), available=pl.col("week") == LAST, week="week",
    )  # fmt: skip
    return offers, bought


def as_item(row: dict[str, str]) -> catalog_pb2.Item:
    """An offer as a message."""
    item = catalog_pb2.Item(item_id=row["item"], title=row["title"])
    for column in ("category", "department", "brand", "published"):
        if row[column] is not None:
            item.attributes[column].text = row[column]
    return item


def show(title: str, answer: recommendation_pb2.RecommendResponse) -> None:
    """Print each item with its reason."""
    print(f"\n{title}")
    for item in answer.items:
        print(f"  {item.score:5.2f}  {item.title}{' (explored)' if item.exploration else ''}: {item.reason}")


def found(client: Client, bought: pl.DataFrame, offers: int) -> None:
    """Print how often one of ten offers was bought that week, and how often one of ten by chance would have been."""
    asked = bought.group_by("user", maintain_order=True).agg("item").head(ASKED)
    hits, chance = 0, 0.0
    for user, items in asked.iter_rows():
        listed = {one.item_id for one in client.recommend("offers", str(user), page_size=10).items}
        hits += bool(listed & set(items))
        chance += 1 - (1 - len(items) / offers) ** 10
    n = len(asked)
    print(f"\n{n} households: {hits / n:.1%} bought one of the ten offers of their list; by chance {chance / n:.1%}")


def main() -> None:
    """Import, fit, serve; then the new leaflet comes."""
    data = fetch("complete-journey").folder
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "var/examples/offers")
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    os.chdir(folder)
    offers, bought = prepare(data)
    before = pl.col("week") < LAST
    offers.filter(before).drop("week").write_parquet("offers.parquet")
    bought.filter(before).drop("week").write_parquet("bought.parquet")
    cuvee("import", "bought.parquet", "--items", "offers.parquet", "--dataset", "offers", "--replace")
    cuvee("fit", "offers")
    with run_server(Path("cuvee.toml")) as server, Client(server.address) as client:
        new = offers.filter(~before)
        print(f"\n{len(new):,} offers of the new leaflet come in; no model has seen any of them")
        items = [as_item(row) for row in new.iter_rows(named=True)]
        for start in range(0, len(items), 500):
            request = catalog_pb2.BatchUpsertItemsRequest(product="offers", items=items[start : start + 500])
            client.catalog.BatchUpsertItems(request, timeout=60)
        user = str(bought.filter(before)["user"].mode().min())
        until = time.monotonic() + 60
        while time.monotonic() < until and len(client.recommend("offers", user, page_size=10).items) < 10:
            time.sleep(0.2)
        show(f"For household {user}", client.recommend("offers", user, page_size=10))
        found(client, bought.filter(~before), len(new))


if __name__ == "__main__":
    main()
