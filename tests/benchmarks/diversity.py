"""Greedy DPP beside MMR: what each unit of diversity costs in NDCG, and what each costs in time.

    .venv/bin/python tests/benchmarks/diversity.py [--users 943] [--vectors lightfm]

MovieLens 100k, each user's last event, a blend of EASE, LightFM and popularity; its 100 best of each user are put in
order anew, lists of 10; scores are z-scores of each user. MMR is the rule `diversity` at several strengths. DPP is the
greedy MAP of Chen et al. 2018 ("Fast greedy MAP inference for determinantal point process", NeurIPS) with the kernel
exp(a s_i) S_ij exp(a s_j), S the cosine of the same vectors brought to 0..1, at several a. Printed: NDCG@10 with the
standard error of its difference from the blend's, and the diversity of lists: 1 - mean cosine of all pairs, by the
vectors that are used, and by films' genres. Time: processor of one list of 20 of 100.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from cuvee.config import load_settings
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.protocols import carry_out
from cuvee.evaluation.run import BLEND, entrants
from cuvee.kernels.arranging import Nearness, arrange
from cuvee.queries import Bools, Floats, Ints
from cuvee.ranking.ask import Directly
from cuvee.ranking.pipeline import make_lists
from cuvee.registry import Registry
from cuvee.training.fit import training_data
from cuvee.training.kept import FitStore
from load.products import ml_100k, run_cuvee
from rich.console import Console
from rich.table import Table

AMONG, K = 100, 10
CONFIG = """
data = "data"
artifacts = "artifacts"
[store]
url = ""
[recommenders.ease]
plugin = "neighbors"
model = "ease"
[recommenders.lightfm]
plugin = "lightfm"
[recommenders.content]
plugin = "content"
[recommenders.popular]
plugin = "popular"
"""
PRODUCT = """
dataset = "movies"
page_size = { default = 100, max = 100 }
sources = [{ use = "ease" }, { use = "lightfm" }, { use = "content" }, { use = "popular" }]
[blend.weights]
cold = { popular = 1.0 }
new = { ease = 0.5, lightfm = 0.5 }
growing = { ease = 0.5, lightfm = 0.5 }
warm = { ease = 0.5, lightfm = 0.45, popular = 0.05 }
"""


def candidates(users: int, whose: str) -> tuple[Ints, Floats, Ints, Floats, Floats]:
    """int32[B, 100] items and float32[B, 100] scores of the blend, int32[B] the right one, vectors, and genres."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "products").mkdir()
        (place / "cuvee.toml").write_text(CONFIG)
        (place / "products/films.toml").write_text(PRODUCT)
        run_cuvee("import", ml_100k(), "--dataset", "movies", "--data-dir", place / "data")
        registry = Registry.load()
        settings = load_settings(place / "cuvee.toml", registry)
        trial = carry_out(Protocol.LEAVE_LAST_OUT, training_data(settings, "films"), AMONG, 0, users)
        product, asked = settings.products["films"], trial.rounds[0]
        quiet: Callable[..., None] = lambda *_: None  # noqa: E731
        with FitStore.of(settings).fitted(
            trial.train, settings, registry, product.recommenders, lambda _: quiet, catalog=trial.data.catalog, refit=()
        ) as kept:
            models = {name: one.model for name, one in kept.items()}
            plan = next(
                way.plan for way in entrants(product, registry, trial, models, 0, ablation=False) if way.name == BLEND
            )
            items, scores = [], []
            with Directly() as ask:
                for question in trial.questions(asked, product.history):
                    found = make_lists(plan, question, ask).blended
                    items.append(found.items)
                    scores.append(found.scores)
            vectors = np.array(models[whose].item_vectors(), np.float32)
        labels = trial.data.catalog.items.frame["genres"].to_list()
        names = sorted({one for row in labels for one in row or ()})
        genres = np.array([[name in (row or ()) for name in names] for row in labels], np.float32)
        right = asked.held_out.items[asked.held_out.offsets[:-1]]
        return np.concatenate(items), np.concatenate(scores), right, unit(vectors), unit(genres)


def unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def by_mmr(items: Ints, scores: Floats, vectors: Floats, strength: float, k: int) -> Ints:
    """int32[B, k] columns, by the compiled pass of the rules."""
    order = np.argsort(-scores, axis=1).astype(np.int32)
    able = np.ones(items.shape, np.uint8)
    return arrange(items, scores, order, able, k, nearness=Nearness(vectors, strength, k, AMONG)).columns


def by_mmr_numpy(items: Ints, scores: Floats, vectors: Floats, strength: float, k: int) -> Ints:
    """The same, for comparing times."""
    near = np.zeros(items.shape, np.float32)
    left, mine = scores.copy(), vectors[items]
    rows, chosen = np.arange(len(items)), []
    for _ in range(k):
        best = (left - strength * near).argmax(axis=1)
        chosen.append(best)
        near = np.maximum(near, np.einsum("bmd,bd->bm", mine, mine[rows, best]))
        left[rows, best] = -np.inf
    return np.stack(chosen, axis=1).astype(np.int32)


def by_dpp(items: Ints, scores: Floats, vectors: Floats, a: float, k: int) -> Ints:
    """int32[B, k] columns: greedy MAP with incremental Cholesky factors (Chen et al. 2018, algorithm 1)."""
    quality = np.exp(np.float64(a) * (scores - scores.max(axis=1, keepdims=True)))
    mine, rows = vectors[items].astype(np.float64), np.arange(len(items))
    gain = quality**2  # S has ones on its diagonal
    factors = np.zeros((*items.shape, k))
    chosen = []
    for j in range(k):
        best = gain.argmax(axis=1)
        chosen.append(best)
        alike = (1 + np.einsum("bmd,bd->bm", mine, mine[rows, best])) / 2
        kernel = quality * quality[rows, best][:, None] * alike
        known = np.einsum("bmj,bj->bm", factors[:, :, :j], factors[rows, best, :j])
        new = (kernel - known) / np.sqrt(np.maximum(gain[rows, best], 1e-300))[:, None]
        factors[:, :, j] = new
        gain = gain - new**2
        gain[rows, best] = -np.inf
    return np.stack(chosen, axis=1).astype(np.int32)


def ndcg(listed: Ints, right: Ints) -> Floats:
    hit: Bools = listed == right[:, None]
    return np.where(hit.any(axis=1), 1 / np.log2(hit.argmax(axis=1) + 2), 0).astype(np.float32)


def spread(listed: Ints, vectors: Floats) -> float:
    """1 - the mean cosine of a list's pairs."""
    mine = vectors[listed]
    total = np.einsum("bkd,bld->b", mine, mine)
    own = np.einsum("bkd,bkd->b", mine, mine)
    k = listed.shape[1]
    return float((1 - (total - own) / (k * (k - 1))).mean())


def microseconds(call: Callable[[], object]) -> float:
    least = np.inf
    for _ in range(5):
        began, n = time.process_time(), 0
        while time.process_time() - began < 0.2:
            call()
            n += 1
        least = min(least, (time.process_time() - began) / n * 1e6)
    return least


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=943)
    parser.add_argument("--vectors", default="content", choices=["content", "lightfm"])
    given = parser.parse_args()
    items, scores, right, vectors, genres = candidates(given.users, given.vectors)
    full = (items >= 0).all(axis=1)
    items, scores, right = items[full], scores[full], right[full]
    scores = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    scores = np.ascontiguousarray(scores, np.float32)
    plain = ndcg(items[:, :K], right)
    table = Table("order", "NDCG@10", "of the blend's", "diversity", "of genres")

    def told(label: str, columns: Ints) -> None:
        listed = np.take_along_axis(items, columns, axis=1)
        mine = ndcg(listed, right)
        lost = mine - plain
        error = lost.std() / np.sqrt(len(lost))
        difference = f"{lost.mean():+.4f} ± {error:.4f}"
        table.add_row(
            label, f"{mine.mean():.4f}", difference, f"{spread(listed, vectors):.4f}", f"{spread(listed, genres):.4f}"
        )

    told("the blend's", np.tile(np.arange(K, dtype=np.int32), (len(items), 1)))
    for strength in (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0):
        told(f"MMR {strength:g}", by_mmr(items, scores, vectors, strength, K))
    table.add_section()
    for a in (20.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.25):
        told(f"DPP {a:g}", by_dpp(items, scores, vectors, a, K))
    console = Console()
    console.print(f"{len(items)} users, vectors of {given.vectors}: {vectors.shape[1]} numbers")
    console.print(table)
    for b in (1, 16):
        few, said = items[:b], scores[:b]
        compiled = microseconds(partial(by_mmr, few, said, vectors, 0.3, 20)) / b
        plain_mmr = microseconds(partial(by_mmr_numpy, few, said, vectors, 0.3, 20)) / b
        dpp = microseconds(partial(by_dpp, few, said, vectors, 3.0, 20)) / b
        console.print(
            f"a list of 20 of 100, batch of {b}: MMR compiled {compiled:.0f} us, in numpy {plain_mmr:.0f}, "
            f"DPP in numpy {dpp:.0f}"
        )


if __name__ == "__main__":
    main()
