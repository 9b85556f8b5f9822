"""What asking another process costs: a recommender behind `plugins/remote`, beside the same one in this process.

    python tests/benchmarks/remote.py [--items 3000] [--rounds 200]

For batches of 1, 16 and 64 queries: candidates (k = 200) and scores of 500 items, one batch after another. Both
recommenders answer in turn, so that a busy machine slows both. "processor" is that of both processes together.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from cuvee import Catalog, Dataset, Entities, Histories, Queries, Ragged
from cuvee.recommender import Recommender
from cuvee_popular.recommender import Popular
from cuvee_remote import Remote

Asked: TypeAlias = Callable[[], Any]

BATCHES = (1, 16, 64)
K, M, EVENTS = 200, 500, 50
TICK = os.sysconf("SC_CLK_TCK")


def dataset(users: int, items: int) -> Dataset:
    """Users with some events each, of items that are popular to different degrees, and an age."""
    rng = np.random.default_rng(0)
    ages = pl.DataFrame({"id": [f"user-{n}" for n in range(users)], "age": rng.integers(15, 70, users).astype(float)})
    catalog = Catalog(Entities.of_ids(f"item-{n}" for n in range(items)), Entities.of(ages))
    taken = (items * rng.random(30 * users) ** 2).astype(np.int32)
    return Dataset.build(catalog, rng.integers(0, users, 30 * users), taken, 1.6e9 + 1e7 * rng.random(30 * users))


def batch(data: Dataset, b: int, seed: int) -> tuple[Queries, np.ndarray[Any, np.dtype[np.int32]]]:
    """B queries with 50 events each, all of them excluded, and 500 items for each."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, data.n_items, EVENTS).tolist() for _ in range(b)]
    users = rng.integers(0, data.n_users, b).astype(np.int32)
    queries = Queries.build(
        Histories.build(rows), users=users, now=1.62e9, excluded=Ragged.of([sorted(r) for r in rows])
    )
    return queries, rng.integers(0, data.n_items, (b, M)).astype(np.int32)


def processor(process: subprocess.Popen[bytes]) -> float:
    """Seconds of the processor that another process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def timed(work: Asked) -> float:
    """Seconds that a call takes, awaited where it waits."""
    began = time.perf_counter()
    answer = work()
    if inspect.isawaitable(answer):
        await answer
    return time.perf_counter() - began


async def measured(
    both: tuple[Recommender[Any], Recommender[Any]], data: Dataset, rounds: int, other: subprocess.Popen[bytes]
) -> None:
    """Print the table."""
    print(f"{'':12}{'batch':>6}{'here':>10}{'there':>10}{'more':>10}{'ratio':>8}{'processor: here':>18}{'there':>10}")
    for b in BATCHES:
        batches = [batch(data, b, seed) for seed in range(20)]
        for what in ("candidates", "score"):
            times: tuple[list[float], list[float]] = ([], [])
            used = [0.0, 0.0]
            for n in range(rounds + 5):
                queries, items = batches[n % 20]
                for at, one in enumerate(both):
                    fresh = queries.select(np.arange(b))  # nothing that an earlier round computed
                    calls: dict[str, Asked] = {
                        "candidates": partial(one.candidates, fresh, K),
                        "score": partial(one.score, fresh, items),
                    }
                    before = time.process_time(), processor(other)
                    took = await timed(calls[what])
                    if n >= 5:
                        times[at].append(took)
                        used[at] += time.process_time() - before[0] + (processor(other) - before[1])
            here, there = (1e3 * float(np.median(one)) for one in times)
            cost_here, cost_there = (1e3 * one / rounds for one in used)
            print(
                f"{what:12}{b:>6}{here:>8.2f}ms{there:>8.2f}ms{there - here:>8.2f}ms{there / here:>7.1f}x"
                f"{cost_here:>16.2f}ms{cost_there:>8.2f}ms"
            )


def main() -> None:
    """Fit both, and compare."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--items", type=int, default=3_000)
    wanted.add_argument("--rounds", type=int, default=200)
    given = wanted.parse_args()
    data = dataset(2_000, given.items)
    with tempfile.TemporaryDirectory(prefix="cuvee-remote-") as folder, socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
        one.close()
        command = [sys.executable, "-m", "cuvee.cli", "remote-server", "cuvee_popular.recommender:Popular"]
        other = subprocess.Popen([*command, "--folder", folder, "--listen", address])
        try:
            config = Remote.Config(address=address, start_wait=60, deadline=30)
            there = Remote.fit(data, config, lambda *_: None)
            here = Popular.fit(data, Popular.Config(), lambda *_: None)
            asyncio.run(measured((here, there), data, given.rounds, other))
            there.close()
        finally:
            other.terminate()
            other.wait()


if __name__ == "__main__":
    main()
