"""A stopwatch for who begins: ``python tests/benchmarks/starting.py [wheels] [DATA SET ...]``.

``wheels`` builds a wheel of the engine and of each plugin but the deep model, installs them into an empty virtual
environment and runs ``cuvee init`` on MovieLens 100k there: seconds, size, first list. A data set (by default all five)
is given to ``cuvee init --yes`` with its columns as they are, from an empty folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cuvee.data.files.fetch import fetch

ROOT = Path(__file__).resolve().parents[2]
CUVEE = Path(sys.executable).with_name("cuvee")
LEFT_OUT = {"tfserving"}
"""Plugins that bring gigabytes."""


@dataclass(frozen=True)
class Begin:
    """How somebody begins with a data set."""

    folder: str
    files: tuple[str, ...]
    options: tuple[str, ...] = ()


BEGINNINGS = {
    "ml-100k": Begin("ml-100k", ("u.data", "u.item", "u.user")),
    "ml-1m": Begin(
        "ml-1m",
        ("interactions.parquet", "movies.dat", "users.dat"),
        ("--map", "user=user", "--map", "item=item", "--map", "time=ts", "--map", "order=pos"),
    ),
    "lastfm-2k": Begin("lastfm-2k", ("user_artists.dat", "artists.dat")),
    "complete-journey": Begin("complete-journey", ("transactions_sample.csv.gz", "products.csv.gz")),
    "toys": Begin("toys", ("interactions.parquet", "items.parquet")),
}


def init(name: str, begin: Begin, files: list[Path], cuvee: Path = CUVEE) -> str:
    """Run ``cuvee init`` in an empty folder; return a row of the table."""
    with tempfile.TemporaryDirectory(prefix="cuvee-starting-") as folder:
        command = [str(cuvee), "init", *map(str, files), "--name", name, "--yes", *begin.options]
        started = time.monotonic()
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", ""), "COLUMNS": "120"}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
        seconds = time.monotonic() - started
    if done.returncode:
        return f"{name:17} failed: {done.stderr.strip().splitlines()[-1]}"
    asked = len(re.findall(r"\bis taken\b", done.stdout))
    measured = dict(re.findall(r"^(\w+) +(\d\.\d{4}) +\d\.\d{4} *$", done.stdout, re.M))
    blend = float(measured.pop("blend", "nan"))
    best = max(measured, key=lambda source: float(measured[source]), default="none")
    first = re.search(r"^ *1 +-?[\d.]+ +(.+?)  ", done.stdout, re.M)
    beside = f"{blend:.4f} beside {best} {float(measured.get(best, 'nan')):.4f}"
    return f"{name:17} {seconds:6.0f} s  {asked} guessed  {beside}  {first[1] if first else 'no list'}"


def wheels() -> None:
    """Build, install and begin, and print how long each took and how much it is."""
    with tempfile.TemporaryDirectory(prefix="cuvee-wheels-") as place:
        built, venv = Path(place) / "wheels", Path(place) / "venv"
        plugins = [p.parent for p in sorted(ROOT.glob("plugins/*/pyproject.toml")) if p.parent.name not in LEFT_OUT]
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(built)]
        timed("build wheels", [*build, str(ROOT), *map(str, plugins)])
        timed("make a virtual environment", [sys.executable, "-m", "venv", str(venv)])
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        timed("install", [*pip, *map(str, sorted(built.glob("*.whl")))])
        size = sum(file.stat().st_size for file in venv.rglob("*") if file.is_file() and not file.is_symlink())
        ours = sum(file.stat().st_size for file in built.glob("*.whl"))
        print(f"{'size':28} {size / 1e6:6.0f} MB installed, {ours / 1e6:.1f} MB of it our wheels")
        data = fetch("ml-100k").folder
        print(init("ml-100k", Begin("", ()), sorted(data.iterdir()), venv / "bin" / "cuvee"))


def timed(what: str, command: list[str]) -> None:
    """Run a command and print how long it took."""
    started = time.monotonic()
    subprocess.run(command, check=True)
    print(f"{what:28} {time.monotonic() - started:6.1f} s", flush=True)


def main() -> None:
    """What is named, or all data sets."""
    wanted = sys.argv[1:] or list(BEGINNINGS)
    if "wheels" in wanted:
        wheels()
        wanted.remove("wheels")
    root = os.environ.get("CUVEE_DATA")
    for name in wanted:
        if not root:
            sys.exit("CUVEE_DATA names the folder of the data sets")
        begin = BEGINNINGS[name]
        print(init(name, begin, [Path(root) / begin.folder / file for file in begin.files]), flush=True)


if __name__ == "__main__":
    main()
