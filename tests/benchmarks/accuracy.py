"""Accuracy of every recommender and of the blend, on the protocols that others publish.

Run by ``make bench``. ``CUVEE_DATA`` names the folder with ``ml-1m`` and ``ml-100k``; prints one
table per protocol. The published figures to compare with stand beneath each.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA_DIR = HERE.parents[1] / "var" / "bench" / "data"
CUVEE = Path(sys.executable).with_name("cuvee")


def cuvee(*arguments: object) -> None:
    """Run the command, in the benchmark's own configuration."""
    config = {"CUVEE_CONFIG": str(HERE / "cuvee.toml")}
    subprocess.run([CUVEE, *map(str, arguments)], check=True, env={**os.environ, **config})


def main() -> None:
    """Import, evaluate, compare."""
    place = os.environ.get("CUVEE_DATA")
    if not place:
        sys.exit("accuracy: set CUVEE_DATA to the folder with the data sets ml-1m and ml-100k")
    ml_1m, ml_100k = Path(place) / "ml-1m", Path(place) / "ml-100k"
    columns = [f"--map={pair}" for pair in ("user=user", "item=item", "time=ts", "order=pos")]
    files = ["--items", ml_1m / "movies.dat", "--users", ml_1m / "users.dat"]
    into = ["--data-dir", DATA_DIR, "--replace"]
    cuvee("import", ml_1m / "interactions.parquet", "--dataset", "ml-1m", *columns, *files, *into)
    cuvee("import", ml_100k, "--dataset", "ml-100k", *into)
    cuvee("evaluate", "ml-1m", "--protocol", "leave-last-out")
    sys.stdout.write(
        "published (HR@10 / NDCG@10): SASRec 0.199/0.108 as first, 0.306/0.178 with softmax; HSTU-large 0.364/0.216\n\n"
    )
    sys.stdout.flush()
    cuvee("evaluate", "ml-100k", "--protocol", "random-80-20")
    sys.stdout.write("published (P@10 / R@10 / NDCG@10): EASE 0.374/0.243/0.291\n")


if __name__ == "__main__":
    main()
