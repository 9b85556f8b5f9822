"""Files as people have them, from the import to the list of a server that runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from cuvee.cli import main
from cuvee.testing import run_server

ITEMS = [f"i{n}" for n in range(6)]
TITLES = ["red lamp", "red desk", "red sofa", "blue book", "blue pen", "blue cup"]
TABLES: dict[str, dict[str, pl.Series]] = {
    "digits": {"available": pl.Series([0, 1, 1, 1, 1, 1], dtype=pl.Int8)},
    "words": {"available": pl.Series(["f", "t", "t", "n/a", "t", "t"])},
    "floats": {"available": pl.Series([0.0, 1.0, 1.0, float("nan"), 1.0, 1.0])},
    "maybe": {"available": pl.Series(["maybe", "yes", "yes", "yes", "yes", "yes"])},
    "empty": {"tags": pl.Series([[]] * 6, dtype=pl.List(pl.Null)), "available": pl.Series([0, 1, 1, 1, 1, 1])},
    "odd": {
        "available": pl.Series([False, *[True] * 5]),
        "year": pl.Series([1999.0, 2001.0, float("nan"), 1e20, 5.0, 6.0]),
        "views": pl.Series([1, 2, 3, 4, 5, 2**64 - 1], dtype=pl.UInt64),
        "brand": pl.Series(["a", "b", "a", "b", "a", "b"]).cast(pl.Categorical),
        "offers": pl.Series([[{"shop": "a", "price": 1.0}]] * 6),
        "since": pl.Series([None] * 6, dtype=pl.Datetime("ns", "UTC")),
        "vec": pl.Series([[], [], [], [1.0, 2.0], [2.0, 1.0], None]),
        "nothing": pl.Series([None] * 6),
        "bytes": pl.Series([b"\xff"] * 6),
    },
}


def cuvee(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    assert not ended.value.code


def test_what_was_imported_is_served_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    (tmp_path / "cuvee.toml").write_text(
        'data = "data"\nartifacts = "artifacts"\n[recommenders.content]\nplugin = "content"\n'
    )
    (tmp_path / "products").mkdir()
    config = ("--config", tmp_path / "cuvee.toml")
    for name in TABLES:
        chain = 'sources = [{ use = "content" }]\n[fallback]\nchain = ["content"]\n'
        (tmp_path / "products" / f"{name}.toml").write_text(chain)
    for at, (name, columns) in enumerate(TABLES.items()):
        pl.DataFrame({"id": ITEMS, "title": TITLES, **columns}).write_parquet(tmp_path / "items.parquet")
        rows = [(f"u{u}", item, 1_700_000_000 + u) for u in range(3) for item in ITEMS[u : u + 3]]
        events = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
        (events.drop("time") if at % 2 else events).write_csv(tmp_path / "events.csv")
        files = (tmp_path / "events.csv", "--items", tmp_path / "items.parquet")
        cuvee("import", *files, "--dataset", name, "--data-dir", tmp_path / "data", *config)
    cuvee("fit", *config)
    with run_server(tmp_path / "cuvee.toml") as running:
        for name in TABLES:
            answer = running.client.recommend(name, context_item_ids=["i1"], page_size=10)
            listed = {item.item_id for item in answer.items}
            assert listed, name
            assert "i0" not in listed, name
            assert "i2" in listed, name
