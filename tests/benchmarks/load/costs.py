"""Sections that weigh: fit, memory, start, offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from load.bench import Bench
from load.processes import CORES, environment, memory_of, pinned, serving
from load.products import ROOT, configured, fitted, made, ml_100k, run_cuvee, shop
from load.report import Row

__all__ = ["fit", "memory", "offline", "start"]

MB = 1e6
PATIENCE = 900.0
"""Seconds after which a fit is ended, and said to be."""
LEARNERS: dict[str, dict[str, object]] = {
    "popular": {"plugin": "popular"},
    "content": {"plugin": "content"},
    "lightfm": {"plugin": "lightfm", "components": 64},
    "item_knn": {"plugin": "neighbors", "model": "item_knn"},
    "transitions": {"plugin": "neighbors", "model": "transitions"},
    "user_knn": {"plugin": "neighbors", "model": "user_knn"},
    "ease": {"plugin": "neighbors", "model": "ease"},
}


def fit(bench: Bench) -> None:
    """Each recommender alone, by the command: time and peak memory, at 1M, 3M and 10M events."""
    labels = [bench.product] if bench.product else ["20k"] if bench.quick else ["100k", "1M", "10M"]
    for label in labels:
        _fits(bench, label)


def _fits(bench: Bench, label: str) -> None:
    """The rows of one made-up shop."""
    data = made(label)
    for name, table in LEARNERS.items():
        if bench.members and name not in bench.members:
            continue
        product = shop(label, {name: table}, folder=f"fit-{label}-{name}")
        text = product.config.read_text().replace('data = "data"', f'data = "{data}"')
        product.config.write_text(text)
        command = [sys.executable, "-m", "cuvee.cli", "fit", "shop", "--config", str(product.config), "--json"]
        began = time.monotonic()
        with pinned(CORES.all), (product.folder / "fit.json").open("w") as out:
            # as a user would: how many threads is the recommender's own business
            process = subprocess.Popen(command, stdout=out)
            code, peak = _ended(process.pid, began + PATIENCE)
            process.returncode = code
        took = time.monotonic() - began
        measure = f"{label} items, {name}"
        if code:
            how = f"not ended after {PATIENCE:.0f} s" if took >= PATIENCE else f"failed ({code})"
            bench.told(Row("fit", measure, "", how, note=f"{peak / 1e9:.2f} GB", figures={"peak_bytes": peak}))
            continue
        (manifest,) = json.loads((product.folder / "fit.json").read_text())
        alone = manifest["models"][name]["fit_seconds"]
        figures = {"seconds": took, "fit_seconds": alone, "peak_bytes": peak}
        found = f"{alone:.1f} s, {peak / 1e9:.2f} GB"
        bench.told(Row("fit", measure, "", found, note=f"whole command {took:.0f} s", figures=figures))


def _ended(pid: int, until: float) -> tuple[int, int]:
    """A child's exit code and the most bytes that it had resident; killed when its time is over."""
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        if time.monotonic() > until:
            os.kill(pid, 9)
            _, status, usage = os.wait4(pid, 0)
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        time.sleep(0.05)


def memory(bench: Bench) -> None:
    """What a worker has beyond mapped files after some requests; what a second one adds."""
    for label in ("four",) if bench.quick else ("six", "1M"):
        with bench.asked(label, workers=2, cores=CORES.all) as asked:
            asked.cuvee(callers=32, connections=64)
            first, second = (memory_of(pid) for pid in _workers(asked.server.process.pid))
            figures = {"first": asdict(first), "second": asdict(second)}
            note = f"of {first.rss / MB:.0f} MB resident"
            own = f"{first.own / MB:.0f} MB"
            bench.told(Row("memory", f"{label}: a worker beyond mapped files", "", own, note=note, figures=figures))
            beside, more = f"{first.rss / MB:.0f} MB", f"{second.private / MB:.0f} MB"
            note = f"its PSS {second.pss / MB:.0f} MB, {second.pss / first.rss:.0%}"
            measure = f"{label}: what a second worker adds, to the first's RSS"
            bench.told(Row("memory", measure, beside, more, second.private / first.rss, note))


def _workers(supervisor: int) -> list[int]:
    """The processes that answer."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(child) for child in children]


def start(bench: Bench) -> None:
    """From the command to SERVING."""
    for label in ("20k",) if bench.quick else ("20k", "1M"):
        product = fitted(label)
        began = time.monotonic()
        with serving(product, cores=CORES.server):
            took = time.monotonic() - began
        bench.told(Row("start", f"{label} items, to SERVING", "", f"{took:.1f} s", figures={"seconds": took}))


def offline(bench: Bench) -> None:
    """Lists of 100 for all users, the whole blend, on one core."""
    config, product, data = _whole_blend()
    command = [sys.executable, "-m", "load.offline", str(config), product, "500" if bench.quick else "0"]
    with pinned(CORES.server):
        said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment()).stdout
    told: dict[str, Any] = json.loads(said)
    measure = f"{data}, {told['sources']} sources, top 100"
    found = f"{told['users'] / told['seconds']:,.0f} users/s"
    bench.told(Row("offline", measure, "", found, note=f"{told['users']:,} users", figures=told))


def _whole_blend() -> tuple[Path, str, str]:
    """MovieLens 1M's product (100k's data where there is no 1M), fitted."""
    place = ROOT / "tests" / "benchmarks"
    team = tomllib.loads((place / "products" / "ml-1m.toml").read_text())
    used = {source["use"] for source in team["sources"]}
    tables = tomllib.loads((place / "cuvee.toml").read_text())["recommenders"]
    given = os.environ.get("CUVEE_DATA")
    data = "ml-1m" if given and (Path(given) / "ml-1m").is_dir() else "ml-100k"
    product = configured(f"offline-{data}", data, {name: tables[name] for name in tables if name in used}, team)
    if not product.data.exists():
        where: tuple[object, ...] = (ml_100k(),)
        if given and data == "ml-1m":
            files = Path(given) / "ml-1m"
            columns = [f"--map={pair}" for pair in ("user=user", "item=item", "time=ts", "order=pos")]
            more = ["--items", files / "movies.dat", "--users", files / "users.dat"]
            where = (files / "interactions.parquet", *more, *columns)
        run_cuvee("import", *where, "--dataset", data, "--data-dir", product.data.parent)
    if not (product.folder / "artifacts").exists():
        run_cuvee("fit", data, "--config", product.config, "--json")
    return product.config, data, data
