"""How fast Cuvée serves, beside an empty gRPC call of the same run.

    .venv/bin/python tests/benchmarks/serving.py [SECTION ...] [--quick] [--seconds 5] [--json FILE] [--plot FILE]

Works on a fresh clone: products are fitted when they are first needed and kept in var/bench/serving. The server has a
core of its own, and callers and the model server another, where there are two. Prints one table, writes it as
JSON, and draws latency against rate. Sections, all by default:

    throughput  closed loop of 1, 8, 32, 64, 256 callers: the demo's six sources with the deep model; four without
    open-loop   fixed rates; a call's time counts from when it was due
    overload    three and ten times the peak: goodput, refusals, health, memory, and how soon all is well again
    goodput     OK within a second with 400 callers, against 16
    size        20k, 100k, 1M items; LightFM (64 dimensions), content, popularity
    history     users with 10 events and with 1,000
    workers     one worker and two
    memory      of a worker beyond mapped files; of a second one
    start       from the command to SERVING
    fit         time and peak memory of each recommender, at 1M, 3M and 10M events and up to 1M items
    offline     lists of 100 for all users of MovieLens 1M (CUVEE_DATA names its folder; else of 100k)
    peers       what one would write instead, asked in the same way

Users are drawn evenly from the data's own, and every request has two clicks of its own besides. The figures of a busy
machine say little: the load average is printed with them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from load import costs, overload, peers, rates
from load.bench import Bench
from load.processes import CORES
from load.products import KEPT
from load.report import console, show, write

SECTIONS: Mapping[str, Callable[[Bench], None]] = {
    "throughput": rates.throughput,
    "open-loop": rates.open_loop,
    "overload": overload.overload,
    "goodput": rates.goodput,
    "size": rates.size,
    "history": rates.history,
    "workers": rates.workers,
    "memory": costs.memory,
    "start": costs.start,
    "fit": costs.fit,
    "offline": costs.offline,
    "peers": peers.peers,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it works, and roughly how")
    parser.add_argument("--seconds", type=float, help="for which each figure is counted; 5, or 2 with --quick")
    parser.add_argument("--json", type=Path, help="the file of figures; by default in var/bench/serving")
    parser.add_argument("--plot", type=Path, default=KEPT / "latency.png", help="the plot of open-loop (PNG or SVG)")
    parser.add_argument("--times", type=float, nargs="+", default=[3, 10], help="overload: multiples of the peak")
    parser.add_argument("--workers", type=int, default=1, help="overload: how many answer")
    parser.add_argument("--product", default="", help="overload, fit: six, four, 20k, ...")
    parser.add_argument("--members", nargs="+", default=[], help="fit: ease, item_knn, ...; all by default")
    given = parser.parse_args()
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    bench = Bench(given.quick, given.seconds or (2.0 if given.quick else 5.0), given.plot)
    bench.times, bench.workers, bench.product = given.times, given.workers, given.product
    bench.members = given.members
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    console.print(
        f"server on core {_named(CORES.server)}, callers and model server on {_named(CORES.callers)}; "
        f"load average {loads} before this began"
    )
    try:
        for name in given.sections or SECTIONS:
            SECTIONS[name](bench)
    finally:
        if bench.rows:
            show(bench.rows)
            console.print(f"figures: {write(bench.rows, given.json)}")
            if any(row.section == "open-loop" for row in bench.rows):
                console.print(f"plot: {given.plot}")


def _named(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


if __name__ == "__main__":
    main()
