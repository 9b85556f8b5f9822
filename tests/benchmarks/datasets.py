"""The benchmarks' data sets: one call imports all six by ``cuvee import``, as a user would.

``CUVEE_DATA`` names the folder that holds ``ml-1m``, ``ml-100k``, ``complete-journey``,
``lastfm-2k``, ``citeulike-a`` and ``toys``. What the importer has no words for is in the three ``prepare_*.py``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import prepare_grocer
import prepare_music
import prepare_papers

__all__ = ["cuvee", "import_all", "limited", "train_for"]

HERE = Path(__file__).resolve().parent
DATA_DIR = HERE.parents[1] / "var" / "bench" / "data"
CUVEE = Path(sys.executable).with_name("cuvee")


def cuvee(*arguments: object) -> None:
    """Run the command, in the benchmarks' own configuration."""
    config = {"CUVEE_CONFIG": str(HERE / "cuvee.toml")}
    subprocess.run([CUVEE, *map(str, arguments)], check=True, env={**os.environ, **config})


def limited(parser: argparse.ArgumentParser) -> None:
    """Add ``--minutes``."""
    parser.add_argument("--minutes", type=float, help="at most so many for each training of a deep model")


def train_for(minutes: float | None) -> None:
    """Let cuvee.toml limit each training of a deep model to so many minutes; None leaves its own limits."""
    if minutes is not None:
        os.environ["CUVEE_TRAINING_MINUTES"] = str(minutes)


def _import(dataset: str, path: Path, *options: object, columns: str = "") -> None:
    """One data set, anew. ``columns`` are OURS=THEIRS, separated by blanks."""
    mapped = [f"--map={pair}" for pair in columns.split()]
    cuvee("import", path, "--dataset", dataset, *mapped, *options, "--data-dir", DATA_DIR, "--replace")


def import_all() -> None:
    """Import every data set."""
    place = os.environ.get("CUVEE_DATA")
    if not place:
        sys.exit(
            "benchmarks: set CUVEE_DATA to the folder with ml-1m, ml-100k, complete-journey, lastfm-2k, citeulike-a "
            "and toys"
        )
    root = Path(place)
    ml_1m = root / "ml-1m"
    files = ["--items", ml_1m / "movies.dat", "--users", ml_1m / "users.dat"]
    _import("ml-1m", ml_1m / "interactions.parquet", *files, columns="user=user item=item time=ts order=pos")
    _import("ml-100k", root / "ml-100k")
    toys = root / "toys"
    _import("toys", toys / "interactions.parquet", "--items", toys / "items.parquet", columns="order=pos")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        prepare_grocer.prepare(root / "complete-journey", made)
        files = ["--items", made / "products.csv", "--users", root / "complete-journey" / "demographics.csv.gz"]
        alike = ("product", "product_type", "manufacturer_id")
        roles = [f"--role={name}=category" for name in alike] + ["--role=package_size=other", "--role=title=text"]
        columns = "user=household_id item=product_id time=transaction_timestamp"
        _import("complete-journey", made / "purchases.csv", *files, *roles, columns=columns)
        prepare_music.prepare(root / "lastfm-2k", made)
        files = ["--items", made / "artists.csv", "--role", "tags=categories", "--role", "title=text"]
        columns = "user=userID item=artistID order=order title=name"
        _import("lastfm-2k", made / "plays.csv", *files, columns=columns)
        prepare_papers.prepare(root / "citeulike-a", made)
        files = ["--items", made / "papers.csv", "--role", "tags=categories", "--role", "links=categories"]
        _import("citeulike-a", made / "libraries.csv", *files, columns="user=user item=paper order=order")


if __name__ == "__main__":
    import_all()
