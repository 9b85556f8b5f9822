"""Configurations over a toy dataset with plugins that misbehave, fitted by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cuvee.testing import two_tribes

__all__ = ["ENVIRONMENT", "POPULAR", "RULED", "fit", "fitted"]

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        [str(TESTS / "serving" / "plugin"), str(TESTS / "toyplugin"), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
    "CUVEE_CONFIG": "",
}
"""With it a process finds the toys' recommenders and those that misbehave (tests/serving/plugin)."""
POPULAR = 'plugin = "toy_popular"'
PLAIN = {
    "popular": POPULAR,
    "pairs": 'plugin = "toy_pairs"',
    "newest": 'plugin = "newest"',
    "raises": 'plugin = "raises"',
}
RULES = """
page_size = { default = 5, max = 30 }
[[rules]]
use = "exclude_seen"
[[rules]]
use = "filter"
where = "year >= 1960"
"""
RULED = {
    "blended": 'sources = [{ use = "pairs" }, { use = "popular" }, { use = "newest" }]' + RULES,
    "explored": 'sources = [{ use = "pairs" }, { use = "popular" }]'
    + RULES
    + '[explore]\nshare = 0.5\nfewer_than = 1000\nfirst = 2\n[fallback]\nchain = ["popular"]',
    "short": 'sources = [{ use = "pairs", candidates = 3 }]' + RULES + '[fallback]\nchain = ["raises", "popular"]',
    "failing": 'sources = [{ use = "raises" }]' + RULES + '[fallback]\nchain = ["raises"]',
}
"""Products under the same rules whose lists come in every way that there is: blended, explored, filled by a chain,
and from the catalogue."""


def fit(config: Path, *more: str) -> None:
    """Run ``cuvee fit``; raises RuntimeError with what it said where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli", "fit", *more, "--config", str(config), "--json"],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def fitted(
    folder: Path,
    products: Mapping[str, str],
    recommenders: Mapping[str, str] = PLAIN,
    *,
    head: str = "",
    begin: bool = True,
) -> Path:
    """A fitted configuration; gives its ``cuvee.toml``.

    Args:
        folder: where; it is made.
        products: name -> the lines of its file, but for ``dataset``.
        recommenders: name -> the lines of its table.
        head: what else stands in ``cuvee.toml``.
        begin: whether to fit; otherwise that is the caller's.
    """
    toy = two_tribes()
    (folder / "var/data").mkdir(parents=True)
    toy.data.save(folder / "var/data/toy")
    (folder / "products").mkdir()
    for name, text in products.items():
        (folder / f"products/{name}.toml").write_text(f'dataset = "toy"\n{text}\n')
    tables = "\n".join(f"[recommenders.{name}]\n{text}" for name, text in recommenders.items())
    config = folder / "cuvee.toml"
    config.write_text(f"{head}\n{tables}\n")
    if begin:
        fit(config)
        toy.data.with_catalog(toy.grown).save(folder / "var/data/toy")
    return config
