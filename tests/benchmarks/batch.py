"""`cuvee batch`: users a second and core beside BatchRecommend's, and memory, over a made-up shop.

    python tests/benchmarks/batch.py --users 100000 --items 20000 --beside 2000

A sample of the same users is asked by BatchRecommend of a server over the same models, one call at a time; both figures
are by processor time, since that hardly depends on what else the machine does. Memory is the highest of the command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from cuvee.testing.server import run_server
from cuvee.v1 import recommendation_pb2 as pb
from synthetic import make_dataset, write_parquet

CONFIG = """
data = "data"
artifacts = "artifacts"
[store]
url = ""
[server]
limits = { deadline = "10s" }
[recommenders.popular]
plugin = "popular"
[recommenders.transitions]
plugin = "neighbors"
model = "transitions"
[recommenders.knn]
plugin = "neighbors"
model = "item_knn"
"""
PRODUCT = """
dataset = "shop"
page_size = { default = 50, max = 50 }
sources = [{ use = "knn" }, { use = "transitions" }, { use = "popular" }]
[blend.weights]
cold = { popular = 1 }
[[rules]]
use = "exclude_seen"
[fallback]
chain = ["popular"]
"""
TOGETHER = 256


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--events", type=int, help="ten for each user by default")
    parser.add_argument("--chunk", type=int, default=10_000)
    parser.add_argument("--beside", type=int, default=2_000, help="users that BatchRecommend is asked about")
    parser.add_argument("--folder", type=Path, help="where all of it lies; made anew if it is not there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "batch"
        config = _fitted(folder, given.users, given.items, given.events or 10 * given.users)
        found = {"users": given.users, "items": given.items, "page_size": 50, **_batch(config, folder, given.chunk)}
        if given.beside:
            found |= _beside(config, folder, given.beside)
    print(json.dumps(found, indent=2))


def _cuvee(*arguments: object) -> str:
    command = [sys.executable, "-m", "cuvee.cli", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _fitted(folder: Path, users: int, items: int, events: int) -> Path:
    config = folder / "cuvee.toml"
    if config.exists():
        return config
    (folder / "products").mkdir(parents=True)
    write_parquet(make_dataset(users, items, events), folder / "files")
    (folder / "products/shop.toml").write_text(PRODUCT)
    config.write_text(CONFIG)
    files = folder / "files"
    _cuvee("import", files / "events.parquet", "--items", files / "items.parquet", "--users", files / "users.parquet",
           "--dataset", "shop", "--config", config)  # fmt: skip
    _cuvee("fit", "shop", "--config", config)
    return config


def _batch(config: Path, folder: Path, chunk: int) -> dict[str, float]:
    """The command's own account, and the highest memory of its process."""
    target = Path(tempfile.mkdtemp(dir=folder)) / "lists"
    command = ["batch", "shop", str(target), "--config", str(config), "--chunk", str(chunk), "--json"]
    with subprocess.Popen([sys.executable, "-m", "cuvee.cli", *command], stdout=subprocess.PIPE) as process:
        said = json.loads(process.stdout.read() if process.stdout else b"")
        _, process.returncode, usage = os.wait4(process.pid, 0)
    disk = sum(one.stat().st_size for one in target.glob("lists/*.parquet")) / 2**20
    return {
        "rows": said["rows"],
        "wall_seconds": round(said["seconds"], 1),
        "batch_users_per_core_second": round(said["users"] / said["cpu_seconds"]),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "parquet_mib": round(disk, 1),
    }


def _beside(config: Path, folder: Path, count: int) -> dict[str, float]:
    """What a server's process spends on the same lists."""
    ids = pl.read_parquet(folder / "files/users.parquet", columns=["id"])["id"].head(count).to_list()
    with run_server(config, seconds=300) as server:
        requests = [pb.RecommendRequest(user_id=one, page_size=50) for one in ids]
        list(server.client.batch_recommend("shop", requests[:TOGETHER], timeout=120))
        before, began = _processor(server.process.pid), time.perf_counter()
        answered = 0
        for first in range(0, count, 1000):
            for one in server.client.batch_recommend("shop", requests[first : first + 1000], timeout=300):
                answered += not one.HasField("problem")
        spent, wall = _processor(server.process.pid) - before, time.perf_counter() - began
    return {
        "batchrecommend_users_per_core_second": round(answered / spent),
        "batchrecommend_users_per_second": round(answered / wall),
    }


def _processor(pid: int) -> float:
    """Seconds of processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
