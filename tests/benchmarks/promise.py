"""Whether what `cuvee tune` promises is kept by the next event: by data set, date and segment.

    CUVEE_DATA=... .venv/bin/python tests/benchmarks/promise.py [--back 0 1 2] [--tune "OPTION ..."] [SET ...]

Each data set is taken as it is, and without the last one or two events of everybody, as if it were earlier. Each
time seven sources at their defaults are tuned on the event before the last, and the product is evaluated on the last
one, which tuning has not seen. A line is a segment: the uplift over the member that was best in tuning, as
promised and as it came, and that over the member that is best on the test, with its interval. Data, fits and
results stay in ``--folder``: the fit that is evaluated at one date is tuned on at the date after it. What has a
result there is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cuvee.data.dataset import Dataset
from datasets import DATA_DIR, HERE
from rich.console import Console
from rich.table import Table

CUVEE = Path(sys.executable).with_name("cuvee")
SOURCES = ("transitions", "ease", "item_knn", "user_knn", "lightfm", "content", "popular")
CONFIG = """
data = "data"
artifacts = "artifacts"
[recommenders.transitions]
plugin = "neighbors"
model = "transitions"
[recommenders.ease]
plugin = "neighbors"
model = "ease"
[recommenders.item_knn]
plugin = "neighbors"
model = "item_knn"
[recommenders.user_knn]
plugin = "neighbors"
model = "user_knn"
[recommenders.lightfm]
plugin = "lightfm"
[recommenders.content]
plugin = "content"
[recommenders.popular]
plugin = "popular"
"""


def earlier(data: Dataset, back: int) -> Dataset:
    """Without the last ``back`` events of everybody."""
    place = np.arange(len(data)) - np.repeat(data.events.offsets[:-1], data.events.lengths)
    return data.where(place < np.repeat(data.events.lengths, data.events.lengths) - back)


def cuvee(folder: Path, *arguments: object) -> Any:
    """What a command prints as JSON; an empty dict where it refuses."""
    done = subprocess.run(
        [CUVEE, *map(str, arguments), "--json", "--config", folder / "cuvee.toml"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    if done.returncode not in (0, 3):
        sys.exit(f"{arguments}: {done.stderr}")
    return json.loads(done.stdout)


def table(found: Mapping[str, tuple[Any, Any]]) -> None:
    """A line for each segment, and how many promises were kept."""
    shown = Table(box=None, pad_edge=False)
    for head in ("set, events back", "segment", "people", "member", "promised", "came", "over the test's best member"):
        shown.add_column(head, no_wrap=True)
    inside, below, lines = 0, 0, 0
    for name, (tuned, came) in found.items():
        only = came["rounds"][0]
        blend = next(row for row in only["rows"] if row["kind"] == "blend")["segments"]
        members = {row["source"]: row["segments"] for row in only["rows"] if row["kind"] == "member"}
        for one in tuned["segments"]:
            judged = one["judged"]
            if not judged["against_best"] or one["name"] not in blend or tuned["refused"]:
                continue
            best, promised = judged["best_member"], judged["against_best"]["uplift"]
            now = {source: of[one["name"]]["means"]["ndcg"]["mean"] for source, of in members.items()}
            uplift = blend[one["name"]]["means"]["ndcg"]["mean"] / now[best] - 1
            over = next(c for c in only["comparisons"] if c["segment"] == one["name"])["found"]["uplift"]
            lines += 1
            inside += promised["low"] <= uplift <= promised["high"]
            below += over["high"] < 0
            people = f"{judged['people']:,} / {blend[one['name']]['n_users']:,}"
            shown.add_row(name, one["name"], people, best, _span(promised), f"{uplift:+.1%}", _span(over))
    console = Console()
    console.print(shown)
    console.print(
        f"{inside} of {lines} inside the promised interval; {below} below the best member by more than chance"
    )


def _span(of: Mapping[str, float]) -> str:
    return f"{of['mean']:+.1%} [{of['low']:+.1%}, {of['high']:+.1%}]"


def main() -> None:
    """Tune, evaluate, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["ml-100k", "complete-journey", "lastfm-2k", "toys"])
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "var" / "promise")
    parser.add_argument("--back", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--tune", default="", help="options of cuvee tune")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="where datasets.py has imported the data sets")
    asked = parser.parse_args()
    (asked.folder / "products").mkdir(parents=True, exist_ok=True)
    (asked.folder / "data").mkdir(exist_ok=True)
    (asked.folder / "cuvee.toml").write_text(CONFIG)
    found = {}
    for name in asked.sets:
        for back in asked.back:
            product = f"{name}-{back}"
            kept = asked.folder / f"{product}{asked.tune.replace(' ', '')}.json"
            if not kept.exists():
                kept.write_text(json.dumps(kept_promise(asked.folder, asked.data / name, product, back, asked.tune)))
            found[f"{name} {back}"] = json.loads(kept.read_text())
    table(found)


def kept_promise(folder: Path, source: Path, product: str, back: int, options: str) -> tuple[Any, Any]:
    """What tuning says of a product, and what evaluation says of it afterwards, as JSON."""
    if not (folder / "data" / product).exists():
        earlier(Dataset.load(source), back).save(folder / "data" / product)
    sources = ", ".join(f'{{ use = "{name}" }}' for name in SOURCES)
    text = f'dataset = "{product}"\nsources = [{sources}]\n[fallback]\nchain = ["popular"]\n'
    (folder / "products" / f"{product}.toml").write_text(text)
    tuned = cuvee(folder, "tune", product, "--apply", *options.split())
    return tuned, cuvee(folder, "evaluate", product, "--no-ablation")


if __name__ == "__main__":
    main()
