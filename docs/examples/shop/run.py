"""A shop: repeated purchases, a basket, prices, categories, and what is out of stock.

``python docs/examples/shop/run.py [FOLDER]``; what it writes lies in FOLDER, by default var/examples/shop.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
from cuvee.client import Client
from cuvee.data.files.fetch import fetch
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2, recommendation_pb2
from google.protobuf.field_mask_pb2 import FieldMask

HERE = Path(__file__).resolve().parent
SINCE = 44
"""Purchases from this week of the year on."""
ONLY = FieldMask(paths=["attributes.available"])
LEAST = 5
"""How often a product must have been sold in them."""


def cuvee(*arguments: str | Path) -> None:
    """Run a command of ``cuvee`` in the working folder, and show it."""
    print("\n$ cuvee", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "cuvee.cli", *arguments], check=True)  # noqa: S603 - no shell, our own words


def prepare(data: Path) -> None:
    """Write the newest weeks of every fourth household, and what was sold in them with its usual price."""
    sales = pl.read_parquet(data / "transactions.parquet")
    sales = sales.filter((pl.col("week") >= SINCE) & (pl.col("household_id") % 4 == 0) & (pl.col("quantity") > 0))
    sales = sales.filter(pl.len().over("product_id") >= LEAST)
    sales.select(user="household_id", item="product_id", time="transaction_timestamp").write_parquet("sales.parquet")
    price = (pl.col("sales_value") / pl.col("quantity")).median().round(2)
    goods = sales.group_by("product_id").agg(price=price).join(pl.read_parquet(data / "products.parquet"), "product_id")
    title = pl.concat_str("product_type", "package_size", separator=", ", ignore_nulls=True).str.to_titlecase()
    goods.select(
        title=title, item="product_id", itself=pl.col("product_id").cast(pl.String), category="product_category",
        department="department", brand="brand", price="price", available=pl.lit(value=True),
    ).write_parquet("goods.parquet")  # fmt: skip


def show(title: str, answer: recommendation_pb2.RecommendResponse) -> None:
    """Print each item with its two strongest sources."""
    print(f"\n{title}")
    for item in answer.items:
        most = sorted(item.attributions, key=lambda one: -one.contribution)[:2]
        print(f"  {item.score:5.2f}  {item.title}  ({', '.join(one.source for one in most)})")


def main() -> None:
    """Import, fit, serve and ask."""
    data = fetch("complete-journey").folder
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "var/examples/shop")
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    os.chdir(folder)
    prepare(data)
    cuvee("import", "sales.parquet", "--items", "goods.parquet", "--dataset", "shop", "--replace")
    cuvee("fit", "shop")
    with run_server(Path("cuvee.toml")) as server, Client(server.address) as client:
        usual = client.recommend("shop", "900", page_size=6)
        show("The next basket of household 900", usual)
        show("The same, nothing above 2 dollars", client.recommend("shop", "900", filter="price <= 2", page_size=3))
        basket = [item.item_id for item in usual.items[:2]]
        with_basket = client.recommend("shop", context_item_ids=basket, page_size=6)
        show("A stranger with the first two of them in the basket", with_basket)
        gone = usual.items[0]
        item = catalog_pb2.Item(item_id=gone.item_id)
        item.attributes["available"].flag = False
        request = catalog_pb2.UpsertItemRequest(product="shop", item=item, update_mask=ONLY)
        client.catalog.UpsertItem(request, timeout=5)
        left = client.recommend("shop", "900", page_size=6)
        assert gone.item_id not in {one.item_id for one in left.items}  # noqa: S101 - what the example shows
        show(f"{gone.title} is out of stock: the very next list", left)


if __name__ == "__main__":
    main()
