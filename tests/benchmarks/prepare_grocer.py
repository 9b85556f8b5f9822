"""Complete Journey as two files that ``cuvee import`` reads: first purchases, and what is sold.

Of 92,331 products only those go into the catalogue that the sample sells at least five times, as in
the other data sets; and each gets its own id as a label (``product``), so that "bought before" can
be a recommender: content that knows a product by nothing else.
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
    sales = sales.filter(pl.len().over("product_id") >= LEAST)
    sales.select("household_id", "product_id", "transaction_timestamp").write_csv(target / "purchases.csv")
    products = pl.read_csv(source / "products.csv.gz", infer_schema=False)
    # one id of this file went through a spreadsheet: 9e+05
    products = products.with_columns(pl.col("product_id").cast(pl.Float64).cast(pl.Int64).cast(pl.String))
    sold = products.filter(pl.col("product_id").is_in(sales["product_id"].unique().implode()))
    named = pl.concat_str("product_type", "package_size", separator=", ", ignore_nulls=True)
    sold = sold.with_columns(named.str.to_titlecase().alias("title"), pl.col("product_id").alias("product"))
    sold.write_csv(target / "products.csv")
