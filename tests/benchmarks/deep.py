"""The deep recommender's figures: accuracy, new users and new items, memory, and the time of a call.

    CUVEE_DATA=... python tests/benchmarks/deep.py [--keep-data] [--minutes N] [accuracy|cold|memory|predict ...]

Without names of parts, all of them. The trainings take twenty minutes to an hour each on two cores, once: an
interrupted one is continued by the next run, and what is fitted is kept. ``--minutes`` limits each of them, for a
trial: the model is worse then, and ``newcomers.py --minutes`` finds the same one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from cuvee import Dataset
from cuvee.config import load_settings
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.protocols import carry_out
from cuvee.evaluation.results import Comparison, Kind
from cuvee.evaluation.run import evaluate
from cuvee.evaluation.splits import first_liked
from cuvee.evaluation.trials import Round, Trial
from cuvee.recommender import Ragged
from cuvee.registry import Registry
from cuvee.testing import run_server, two_tribes
from datasets import DATA_DIR, HERE, cuvee, import_all, limited, train_for

PUBLISHED = """published, full ranking (HR@10 / NDCG@10): SASRec 0.199/0.108 as first, 0.306/0.178 with softmax
published, 1 against 99: popularity 0.454/0.254, NeuMF 0.71 to 0.73 / 0.435 to 0.447, EASE 0.719/0.449
"""

POPULAR = """
[recommenders.popular]
plugin = "popular"
"""
DEEP = """
[recommenders.deep]
plugin = "tfserving"
training = { epochs = 1 }
"""
PRODUCT = """
dataset = "toy"
sources = [%s]
"""


def cold(data: Dataset, k: int = 10, seed: int = 0) -> Trial:
    """The protocols cold-users and cold-items with one fit: a tenth of the users and of the items held out."""
    items = carry_out(Protocol.COLD_ITEMS, data, k, seed)
    users = carry_out(Protocol.COLD_USERS, items.data, k, seed)
    known = users.train.events.lengths > 0
    train = items.train.where(known[items.train.users])
    strangers = [asked for asked in users.rounds if asked.lengths.any()]
    others = [asked.select(np.flatnonzero(known[asked.people])) for asked in items.rounds]
    rounds = [*strangers, *(very_next(asked, items.data) for asked in strangers), *others]
    baselines = tuple(dict.fromkeys([*users.baselines, *items.baselines]))
    notes = (*users.notes, *items.notes)
    return Trial("cold", train, items.data, rounds, notes, segmented=False, baselines=baselines)


def very_next(asked: Round, data: Dataset) -> Round:
    """The same people and histories, but only the very next liked event counts as right."""
    more = first_liked(data.histories(asked.people), int(asked.lengths[0]) + 1)
    right = Ragged(np.arange(len(asked) + 1), more.items[more.offsets[1:] - 1])
    return replace(asked, name=f"{asked.name}, the very next", held_out=right, excluded=None)


def strangers_and_new_items() -> None:
    """One table: the rounds of the cold protocols, the deep model alone, and popularity beside it."""
    settings, registry = load_settings(HERE / "cuvee.toml", Registry.load()), Registry.load()
    trial = cold(Dataset.load(DATA_DIR / "ml-1m"))
    began = time.monotonic()
    told = lambda name: lambda done, total, note="": None  # noqa: E731
    found = evaluate(settings, registry, "deep-cold", trial, told, ablation=False, clock=time.monotonic)
    print(f"\nstrangers and new items, one fit ({time.monotonic() - began:.0f} s, reused: {found.reused})")
    for asked in found.rounds:
        for row in asked.rows:
            if row.kind is Kind.BLEND:  # of one source: that source again
                continue
            figures = {name: row.figures.means[name].mean for name in ("ndcg", "hit_rate", "recall")}
            shown = "   ".join(f"{name}@{asked.k} {value:.4f}" for name, value in figures.items())
            print(f"  {asked.name:<32} {row.name:<16} {shown}   ({asked.n_users} users)")
    print("  user by user: how far the deep model is ahead of popularity, and of itself with fewer events")
    for asked in found.rounds:
        if ahead := asked.against("popular, ever"):
            compared(asked.name, ahead)
    for step in found.comparisons:
        compared(step.first, step)
    for note in found.notes:
        print(f"  {note}")


def compared(name: str, comparison: Comparison) -> None:
    """One line: the difference with its 95 % interval."""
    ahead = comparison.found.difference
    shown = f"{ahead.mean:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]"
    print(f"  {name:<32} {comparison.second:<32} {comparison.metric} {shown}")


def weight() -> None:
    """The memory of a server without and with the plugin, and the time of its import."""
    with tempfile.TemporaryDirectory() as place:
        # a package of that name which cannot be imported: the server goes on without the plugin
        absent = Path(place) / "absent"
        (absent / "cuvee_tfserving").mkdir(parents=True)
        (absent / "cuvee_tfserving" / "__init__.py").write_text("raise ImportError('left out')")
        without = resident(Path(place) / "without", POPULAR, '{ use = "popular" }', {"PYTHONPATH": str(absent)})
        sources = '{ use = "popular" }, { use = "deep" }'
        both = resident(Path(place) / "with", POPULAR + DEEP, sources, {})
    print(f"\nresident memory of a server: {without:.0f} MiB without the plugin, {both:.0f} MiB with the deep model")
    took = "import time; t = time.perf_counter(); import cuvee_tfserving.plugin; print(time.perf_counter() - t)"
    for name, code in (("and of all that it needs", took), ("in a server", f"import cuvee.serving.server; {took}")):
        cold_starts = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
        print(f"import of the plugin, {name}: {min(cold_starts):.2f} s (the best of 5)")


def resident(folder: Path, recommenders: str, sources: str, environment: dict[str, str]) -> float:
    """MiB of a server of a toy after twenty requests."""
    (folder / "products").mkdir(parents=True)
    (folder / "var/data").mkdir(parents=True)
    two_tribes().data.save(folder / "var/data/toy")
    (folder / "cuvee.toml").write_text(recommenders)
    (folder / "products/toy.toml").write_text(PRODUCT % sources)
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(folder / "cuvee.toml")]
    nowhere = subprocess.DEVNULL
    subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=nowhere, stderr=nowhere)
    with run_server(folder / "cuvee.toml", environment=environment) as server:
        for _ in range(20):
            server.client.recommend("toy", "viewer-001")
        status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def accuracy() -> None:
    """Leave-last-out and one against 99, beside what is published."""
    cuvee("evaluate", "deep", "--protocol", "leave-last-out")
    cuvee("evaluate", "deep", "--protocol", "ncf")
    print(PUBLISHED, flush=True)


def predict() -> None:
    """The time of a call."""
    script = HERE.parents[1] / "plugins" / "tfserving" / "tests" / "benchmark_predict.py"
    subprocess.run([sys.executable, script], check=True)


PARTS = {"accuracy": accuracy, "cold": strangers_and_new_items, "memory": weight, "predict": predict}


def main() -> None:
    """Import, then the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="accuracy, cold, memory, predict")
    parser.add_argument("--keep-data", action="store_true", help="use the data sets as they were imported last")
    limited(parser)
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    train_for(given.minutes)
    if not given.keep_data:
        import_all()
    for part in given.parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
