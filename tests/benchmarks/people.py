"""What RecommendUsers costs, and what it costs those who ask for lists meanwhile.

    .venv/bin/python tests/benchmarks/people.py [--product four] [--calls 10]

The serving benchmark's product (MovieLens 100k; four sources) or a made-up shop (20k, 100k: 20,000 and 50,000 users),
one server on a core of its own where there are two. Printed: seconds of a call that scores all users and the
microseconds of processor for each, and the time of Recommend at its caller (one after another, 20 ms apart) alone and
while such calls go on without a pause.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path

import numpy as np
from cuvee.client import Client
from cuvee.data.dataset import Dataset
from load.processes import CORES, serving
from load.products import fitted
from rich.console import Console

TICK = os.sysconf("SC_CLK_TCK")


def spent(pid: int) -> float:
    """Seconds of processor that a process has had."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / TICK


def asked(client: Client, product: str, users: list[str], over: threading.Event, seconds: float) -> np.ndarray:
    """Milliseconds of lists, until the time is over or the event is set."""
    took, until, turn = [], time.monotonic() + seconds, 0
    while time.monotonic() < until and not over.is_set():
        began = time.perf_counter()
        client.recommend(product, users[turn % len(users)], page_size=10, timeout=5)
        took.append((time.perf_counter() - began) * 1e3)
        turn += 1
        time.sleep(0.02)
    return np.array(took)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", default="four")
    parser.add_argument("--calls", type=int, default=10)
    given = parser.parse_args()
    product, console = fitted(given.product), Console()
    data = Dataset.load(product.data)
    counts = np.bincount(data.events.items, minlength=data.n_items)
    items = data.catalog.items.ids(np.argsort(-counts)[: given.calls * 20 : 20])
    users = data.catalog.users.ids(np.arange(min(300, data.n_users)))
    with serving(product, cores=CORES.server, options=("--workers", "1"), until="ready") as server:
        client, pid, never = server.client, server.process.pid, threading.Event()
        client.recommend_users(product.name, items[0], timeout=120)
        asked(client, product.name, users, never, 1.0)
        alone = asked(client, product.name, users, never, 5.0)
        before, began, scored = spent(pid), time.monotonic(), 0
        for item in items:
            scored += client.recommend_users(product.name, item, page_size=20, timeout=120).scored_users
        seconds, processor = (time.monotonic() - began) / len(items), spent(pid) - before
        over = threading.Event()

        def keep_asking() -> None:
            with Client(server.address) as other:
                for item in items * 100:
                    if over.is_set():
                        return
                    other.recommend_users(product.name, item, page_size=20, timeout=120)

        beside = threading.Thread(target=keep_asking)
        beside.start()
        both = asked(client, product.name, users, never, 5.0)
        over.set()
        beside.join()
    console.print(
        f"{product.label}: {scored // len(items):,} users scored a call in {seconds:.2f} s, "
        f"{processor / scored * 1e6:.0f} us of processor each; load average {os.getloadavg()[0]:.1f}"
    )
    for name, took in (("alone", alone), ("beside RecommendUsers", both)):
        p50, p99 = np.quantile(took, [0.5, 0.99])
        console.print(
            f"Recommend {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {took.max():.0f} ({len(took)} calls)"
        )


if __name__ == "__main__":
    main()
