"""How soon a changed product file has its effect, and whether reloads cost anybody an answer.

A server answers 50 requests a second while its product's file is written again and again; every third text is
broken. Every answer is held against the revision that it names: its weights and its length must be that file's.

    python tests/benchmarks/reload.py                       200 reloads, one worker
    python tests/benchmarks/reload.py --reloads 60 --workers 2
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from cuvee.client import Client
from cuvee.config import Files, read_settings
from cuvee.registry import Registry
from cuvee.testing.server import run_server

RATE = 50.0
CALLERS = 5
PATIENCE = 20.0
"""Seconds that a change may take before it counts as lost."""

SERVER = """
[store]
url = ""
[recommenders.ease]
plugin = "neighbors"
model = "ease"
[recommenders.transitions]
plugin = "neighbors"
model = "transitions"
[recommenders.popular]
plugin = "popular"
"""
PRODUCT = """
dataset = "movies"
page_size = {{ default = {length}, max = 100 }}
sources = [{{ use = "ease" }}, {{ use = "transitions" }}, {{ use = "popular" }}]
[blend]
segments = {{ cold = 0, warm = 1 }}
passage = "hard"
[blend.weights]
cold = {{ popular = 1.0 }}
warm = {{ ease = {weight}, transitions = 1.0, popular = 1.0 }}
"""
BROKEN = (
    lambda text: text[: len(text) // 2] + "[",
    lambda text: text.replace('"ease"', '"cheese"'),
    lambda text: "colour = 1\n" + text,
    lambda text: text.replace("transitions = 1.0", "transitions = -1.0"),
    lambda text: text + '\n[[rules]]\nuse = "filter"\nwhere = "colour = 1"\n',
    lambda _: "",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and when it was asked for (monotonic)."""

    asked: float
    revision: str
    weight: float
    length: int


@dataclass
class Heard:
    """What all callers heard."""

    answers: list[Answer] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def place(folder: Path) -> Path:
    """A configuration over MovieLens 100k, imported and fitted."""
    config = folder / "cuvee.toml"
    config.write_text(SERVER)
    (folder / "products").mkdir()
    (folder / "products/movies.toml").write_text(text_of(0))
    for command in (["import", "ml-100k", "--dataset", "movies"], ["fit", "movies"]):
        subprocess.run([sys.executable, "-m", "cuvee.cli", *command, "--config", str(config)], check=True)
    return config


def text_of(n: int) -> str:
    """The n-th file: each has another weight and another length."""
    return PRODUCT.format(weight=0.5 + n / 100, length=5 + n % 20)


def expected(config: Path, registry: Registry, n: int) -> tuple[str, float, int]:
    """The revision, weight and length of the n-th file."""
    files = Files.read(config).among({"movies": text_of(n).encode()})
    settings, mistakes = read_settings(files, registry)
    assert settings is not None, mistakes
    weight = 0.5 + n / 100
    return settings.revision_of("movies"), weight / (weight + 2), 5 + n % 20


def call(address: str, heard: Heard, at: int) -> None:
    """Ask at a steady rate, whatever the answers take."""
    users = itertools.cycle(str(1 + (at * 37 + n * 7) % 900) for n in range(100))
    with Client(address) as client:
        due = time.monotonic() + at / RATE
        while not heard.stop.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due += CALLERS / RATE
            asked = time.monotonic()
            try:
                found = client.recommend("movies", next(users), timeout=2)
            except grpc.RpcError as problem:
                heard.failed.append(f"{problem.code()}: {problem.details()}")
                continue
            weight = next(a.weight for item in found.items for a in item.attributions if a.source == "ease")
            heard.answers.append(Answer(asked, found.config_revision, weight, len(found.items)))


def in_use(heard: Heard, revision: str, since: float) -> bool:
    """Whether answers that were asked for lately are all of a revision, and there are enough of them."""
    late = [one for one in heard.answers[-3 * CALLERS :] if one.asked > since]
    return len(late) >= 2 * CALLERS and all(one.revision == revision for one in late)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reloads", type=int, default=200)
    options.add_argument("--workers", type=int, default=1)
    given = options.parse_args()
    os.environ.setdefault("CUVEE_CONFIG", "")
    with tempfile.TemporaryDirectory(prefix="cuvee-reload-") as folder:
        told = measure(place(Path(folder)), given.reloads, given.workers)
    print(json.dumps(told, indent=1))
    return int(bool(told["failed"] or told["mixed"] or told["unknown"] or told["lost"]))


def measure(config: Path, reloads: int, workers: int) -> dict[str, object]:
    """Write the file so often under load, and look at all answers."""
    registry, heard = Registry.load(), Heard()
    known = {revision: (weight, length) for revision, weight, length in (expected(config, registry, 0),)}
    file, took, lost, refused = config.parent / "products/movies.toml", [], 0, 0
    ready = "workers ready" if workers > 1 else "ready"
    with run_server(config, options=["--workers", str(workers)], wait_until=ready) as server:
        callers = [threading.Thread(target=call, args=(server.address, heard, at)) for at in range(CALLERS)]
        for caller in callers:
            caller.start()
        time.sleep(1)
        for n in range(1, reloads + 1):
            if n % 3 == 0:
                file.write_text(BROKEN[n // 3 % len(BROKEN)](text_of(n)))
                refused += 1
                time.sleep(0.7)  # long enough to be read
                continue
            revision, weight, length = expected(config, registry, n)
            known[revision] = weight, length
            file.write_text(text_of(n))
            written = time.monotonic()
            while not in_use(heard, revision, written) and time.monotonic() < written + PATIENCE:
                time.sleep(0.02)
            old = [one.asked for one in heard.answers if one.asked > written and one.revision != revision]
            took.append(max(old, default=written) - written)
            lost += not in_use(heard, revision, written)
        heard.stop.set()
        for caller in callers:
            caller.join()
        refusals = len(server.events("a change of the product cannot be used, the last good one stays"))
    mixed = [one for one in heard.answers if one.revision in known and not fits(one, *known[one.revision])]
    return {
        "requests": len(heard.answers) + len(heard.failed), "failed": len(heard.failed), "why": heard.failed[:3],
        "revisions seen": len({one.revision for one in heard.answers}), "mixed": len(mixed),
        "unknown": sum(one.revision not in known for one in heard.answers), "lost": lost,
        "reloads": reloads, "broken": refused, "refusals logged": refusals, "workers": workers,
        "seconds from file to effect": {
            f"p{p}": round(float(np.percentile(took, p)), 3) for p in (50, 90, 99, 100)
        },
    }  # fmt: skip


def fits(one: Answer, weight: float, length: int) -> bool:
    """Whether an answer is of the file that it says."""
    return abs(one.weight - weight) < 1e-4 and one.length == length


if __name__ == "__main__":
    sys.exit(main())
