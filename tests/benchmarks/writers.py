"""Several processes that write small batches to one store: who gets how many in, and how long each waits.

Run by hand; without ``--url`` in a SQLite file that is thrown away::

    python tests/benchmarks/writers.py --processes 8 --seconds 60
    python tests/benchmarks/writers.py --processes 8 --seconds 60 --url postgresql://host/name

First one process writes alone, then all at once; every write is one event, committed. Of each it tells the
writes a second, of all of them the fewest and the most of one process, how many were refused, the longest
that one took, and how many events that were acknowledged are not there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.data.store.rows import EventRow
from cuvee.data.store.transfer.bulk import read_events
from cuvee.errors import UnavailableError


def write(url: str, name: str, seconds: float) -> None:
    """Be ready, write from the time on that is told for so many seconds, and print what became of it."""
    store = Store(Database(located(url, Path())))
    store.state("writers", name)  # the first connection takes a while
    acknowledged: list[str] = []
    refused, longest = 0, 0.0
    print("ready", flush=True)
    begin = float(sys.stdin.readline())
    time.sleep(max(begin - time.time(), 0))
    while (now := time.time()) < begin + seconds:
        event_id = f"{name}-{len(acknowledged) + refused}"
        row = EventRow("writers", event_id, name, f"item {event_id}", 1, 1.0, 1_000, 2_000)
        try:
            store.write_events([row])
            acknowledged.append(row.item_id)
        except UnavailableError:
            refused += 1
        longest = max(longest, time.time() - now)
    store.close()
    print(json.dumps({"acknowledged": acknowledged, "refused": refused, "longest": longest}))


def together(url: str, processes: int, seconds: float) -> dict[str, object]:
    """What became of the writes of so many processes that begin at the same time."""
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--url", url, "--write", f"{processes}-{n}", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    for one in started:
        assert one.stdout is not None
        one.stdout.readline()
    begin = f"{time.time() + 0.2}\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write(begin)
        one.stdin.flush()
    found = [json.loads(one.communicate()[0]) for one in started]
    database = Database(located(url, Path()), timeout=30)
    there = set(read_events(database, "writers")["item_id"])
    database.close()
    each = [len(one["acknowledged"]) for one in found]
    return {
        "processes": processes,
        "per_second": round(sum(each) / seconds, 1),
        "fewest": min(each),
        "most": max(each),
        "refused": sum(one["refused"] for one in found),
        "longest_seconds": round(max(one["longest"] for one in found), 3),
        "lost": sum(item not in there for one in found for item in one["acknowledged"]),
    }


def main() -> None:
    """As above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--write", nargs=2, metavar=("NAME", "SECONDS"))
    given = parser.parse_args()
    if given.write:
        name, seconds = given.write
        write(given.url, name, float(seconds))
        return
    with tempfile.TemporaryDirectory(prefix="cuvee-writers-") as folder:
        url = given.url or f"sqlite:///{folder}/store.db"
        database = Database(located(url, Path()), timeout=30)
        migrate(database)
        database.close()
        for processes in (1, given.processes):
            print(json.dumps(together(url, processes, given.seconds)), flush=True)


if __name__ == "__main__":
    main()
