"""Films, music and a shop on one server: what a source of the shop that fails or hangs costs the other two.

    CUVEE_DATA=... .venv/bin/python tests/benchmarks/side_by_side.py [--seconds 10] [--callers 2] [--workers 1]

MovieLens 100k, Last.fm and Complete Journey, each with sources of its own; the shop has three more that turn bad on
command: one raises, one sleeps for 30 s, one computes for 30 s. In each phase all three products are asked at once, a
caller pausing 10 ms after each answer. Printed for each phase and product: calls, the share that is OK and full, p50
and p99 of the time at the caller, and the share of answers that are degraded, which must be the shop's alone. The first
second of a phase, in which it is found out, is told apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from cuvee.data.dataset import Dataset
from cuvee.testing.server import run_server
from reliability.callers import Call, Callers, apart
from reliability.place import ENVIRONMENT
from rich.console import Console
from rich.table import Table

FOLDER = datasets.DATA_DIR.parent / "side-by-side"
PRODUCTS = {"films": "ml-100k", "music": "lastfm-2k", "shop": "complete-journey"}
CONFIG = """
data = "data"
artifacts = "artifacts"
[store]
url = ""
[server.limits]
deadline = "2s"
[recommenders.ease]
plugin = "neighbors"
model = "ease"
[recommenders.transitions]
plugin = "neighbors"
model = "transitions"
[recommenders.user_knn]
plugin = "neighbors"
model = "user_knn"
[recommenders.content]
plugin = "content"
[recommenders.popular]
plugin = "popular"
[recommenders.raises]
plugin = "flaky"
trouble = "{folder}/raises"
[recommenders.sleeps]
plugin = "ill"
how = "sleeps"
trouble = "{folder}/sleeps"
[recommenders.computes]
plugin = "ill"
how = "spins"
trouble = "{folder}/computes"
"""
SOURCES = {
    "films": ("ease", "transitions", "popular"),
    "music": ("ease", "content", "popular"),
    "shop": ("user_knn", "content", "popular", "raises", "sleeps", "computes"),
}
BAD = ("raises", "sleeps", "computes")
PAGE = 10


def place() -> Path:
    """The fitted configuration; its ``cuvee.toml``."""
    if not all((datasets.DATA_DIR / name / "events.arrow").exists() for name in PRODUCTS.values()):
        datasets.import_all()
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "products").mkdir(parents=True)
    (FOLDER / "data").symlink_to(datasets.DATA_DIR)
    for name, dataset in PRODUCTS.items():
        sources = "".join(f'  {{ use = "{source}", candidates = 200 }},\n' for source in SOURCES[name])
        (FOLDER / f"products/{name}.toml").write_text(
            f'dataset = "{dataset}"\nsources = [\n{sources}]\n[fallback]\nchain = ["popular"]\n'
        )
    config = FOLDER / "cuvee.toml"
    config.write_text(CONFIG.format(folder=FOLDER))
    fit = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(config), "--json"]
    subprocess.run(fit, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT})
    return config


def some_users(product: str) -> list[str]:
    """A few hundred of those with events."""
    data = Dataset.load(datasets.DATA_DIR / PRODUCTS[product])
    active = np.flatnonzero(data.events.lengths > 0)
    drawn = np.random.default_rng(0).permutation(active)[:400]
    return data.catalog.users.ids(drawn)


def row(phase: str, product: str, calls: Sequence[Call]) -> list[str]:
    took = np.array([call.seconds for call in calls]) * 1e3
    whole = sum(call.code == "OK" and call.items == PAGE for call in calls)
    degraded = sum(call.said_degraded for call in calls)
    n = max(len(calls), 1)
    p50, p99, most = (np.quantile(took, q) if len(took) else np.nan for q in (0.5, 0.99, 1))
    figures = [f"{len(calls):,}", f"{whole / n:.2%}", f"{p50:.1f}", f"{p99:.1f}", f"{most:.0f}", f"{degraded / n:.1%}"]
    return [phase, product, *figures]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase")
    parser.add_argument("--callers", type=int, default=2, help="of each product")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    config = place()
    users = {name: some_users(name) for name in PRODUCTS}
    console = Console(width=120)
    console.print(f"load average {os.getloadavg()[0]:.1f}, {given.callers} callers of each product")
    table = Table("phase", "product", *("calls", "OK, full", "p50 ms", "p99 ms", "longest ms", "degraded"))
    until = "ready" if given.workers == 1 else "workers ready"
    options = ["--workers", str(given.workers)]
    apart()
    with run_server(config, environment=ENVIRONMENT, options=options, wait_until=until) as server:
        for phase in ("all is well", *BAD, "all is well again"):
            if phase in BAD:
                (FOLDER / phase).touch()
            else:
                time.sleep(5.0)  # a source that was left alone is tried again
            asking = {
                name: Callers(
                    server.address, [name], users[name], callers=given.callers, pause=0.01, timeout=2.0, page_size=PAGE
                )
                for name in PRODUCTS
            }
            for callers in asking.values():
                callers.__enter__()
            began = time.monotonic()
            time.sleep(given.seconds)
            for callers in asking.values():
                callers.__exit__()
            (FOLDER / phase).unlink(missing_ok=True)
            for name, callers in asking.items():
                parts = [(phase, began + 1.0, np.inf)]
                if phase in BAD:
                    parts.insert(0, (f"{phase}, first second", began, began + 1.0))
                for title, first, last in parts:
                    table.add_row(*row(title, name, [call for call in callers.since(first) if call.at < last]))
            table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
