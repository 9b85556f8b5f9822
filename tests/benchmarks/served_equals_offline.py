"""Served against offline lists of 1,000 users, item by item: prints how many items differ.

    .venv/bin/python tests/benchmarks/served_equals_offline.py ml-1m [--config FILE] [--users 1000] [--k 20]

Fits the product where it was not fitted yet. Starts a server of its own, asks it about each user,
makes the same lists in this process, and compares. Exit code 1 where any item differs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.cli.terminal.progress import Bars
from cuvee.config import load_settings
from cuvee.errors import ArtifactError
from cuvee.registry import Registry
from cuvee.testing.agreement import compare
from cuvee.testing.server import run_server

HERE = Path(__file__).resolve().parent
CUVEE = Path(sys.executable).with_name("cuvee")


def main() -> None:
    """Serve, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("product")
    parser.add_argument("--config", type=Path, default=HERE / "cuvee.toml")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    registry = Registry.load()
    settings = load_settings(given.config, registry)
    try:
        snapshot = load_snapshot(settings, registry, given.product)
    except ArtifactError:
        subprocess.run([CUVEE, "fit", given.product, "--config", given.config], check=True)
        snapshot = load_snapshot(settings, registry, given.product)
    if snapshot.problems:
        sys.exit("\n".join(snapshot.problems))
    n = min(given.users, snapshot.data.n_users)
    users = np.random.default_rng(given.seed).choice(snapshot.data.n_users, n, replace=False).astype(np.int32)
    with run_server(given.config, seconds=600) as server, Bars() as bars:
        told = bars("users")
        found = compare(server.client, snapshot, users, given.k, told=told)
    snapshot.close()
    sys.stdout.write("".join(f"{line}\n" for line in found.examples))
    sys.stdout.write(
        f"{given.product}: {found.users:,} users, {found.items:,} items, {found.differing} differ; "
        f"{found.ties} stand elsewhere among equal scores; largest gap between scores {found.largest_gap:.1e}; "
        f"{found.degraded} users had degraded answers and were left out\n"
    )
    sys.exit(int(found.differing > 0))


if __name__ == "__main__":
    main()
