"""Complete Journey as two files that ``cuvee import`` reads: first purchases, and what is sold.

Two things that the importer has no words for: a household's first purchase of a product is kept and
its repeats left out, so that what is held out is new to the household; and of 92,331 products only
those go into the catalogue that the sample sells at least five times, as in the other data sets.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

__all__ = ["prepare"]

LEAST = 5


def prepare(source: Path, target: Path) -> None:
    """Write ``purchases.csv`` and ``products.csv`` into the folder ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    sales = pl.read_csv(source / "transactions_sample.csv.gz", infer_schema=False)
    first = sales.sort("transaction_timestamp", maintain_order=True).unique(
        ["household_id", "product_id"], keep="first", maintain_order=True
    )
    first = first.filter(pl.len().over("product_id") >= LEAST)
    first.select("household_id", "product_id", "transaction_timestamp").write_csv(target / "purchases.csv")
    products = pl.read_csv(source / "products.csv.gz", infer_schema=False)
    # one id of this file went through a spreadsheet: 9e+05
    products = products.with_columns(pl.col("product_id").cast(pl.Float64).cast(pl.Int64).cast(pl.String))
    sold = products.filter(pl.col("product_id").is_in(first["product_id"].unique().implode()))
    named = pl.concat_str("product_type", "package_size", separator=", ", ignore_nulls=True)
    sold.with_columns(named.str.to_titlecase().alias("title")).write_csv(target / "products.csv")
