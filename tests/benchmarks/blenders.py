"""What blending costs: each calibrator, and each blender as a ratio to the weighted sum.

Run by ``make bench``. Blends the opinions of 7 sources on 500 candidates, for one query and for 32,
as they might be: an opinion in twenty is missing, a third of the items were proposed by each source.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from cuvee.ranking.blend import Blender, Opinions, ReciprocalRankFusion, RrfOptions, WeightedSum
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from cuvee.ranking.learned import Learned, LearnedOptions, Reading, Readings

SOURCES = [f"s{n}" for n in range(7)]
CANDIDATES = 500
BATCHES = (1, 32)
ROUNDS = 200


def opinions(b: int) -> Opinions:
    """Random ones for b queries."""
    rng = np.random.default_rng(0)
    shape = (len(SOURCES), b, CANDIDATES)
    values = rng.normal(size=shape).astype(np.float32)
    values[rng.random(shape) < 0.05] = np.nan
    ranks = np.where(rng.random(shape) < 1 / 3, rng.integers(1, 200, shape), 0).astype(np.int32)
    weights = np.full(shape[:2], 1 / len(SOURCES), np.float32)
    facts = rng.normal(size=(2, *shape[1:])).astype(np.float32)
    return Opinions(SOURCES, values, weights, np.ones(shape[1:], np.bool_), ranks, facts[0], facts[1], facts[1] > 9)


def blenders() -> dict[str, Blender]:
    """Those of the engine; of the learnt one, all that may be learnt."""
    read = Reading(unknown=-0.1, unproposed=-0.1, top=0.2, popularity=0.1, age=0.1)
    learnt = LearnedOptions(learnt=Readings(calibrate="zscore", sources=dict.fromkeys(SOURCES, read)))
    return {
        "weighted, prior": WeightedSum(WeightedSum.Options(), "prior"),
        "weighted, skip": WeightedSum(WeightedSum.Options(), "skip"),
        "weighted, zero": WeightedSum(WeightedSum.Options(), "zero"),
        "rrf": ReciprocalRankFusion(RrfOptions(), "prior"),
        "learned": Learned(learnt, "prior"),
    }


def milliseconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median of each. They take turns, so that a busy machine is unfair to none."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            took[name].append((time.perf_counter() - started) * 1e3)
    return {name: float(np.median(values)) for name, values in took.items()}


def calls(asked: Opinions) -> dict[str, Callable[[], object]]:
    """Every blender; every calibrator, over all sources one after another, as the pipeline does it."""
    learnt = Quantile.learn(np.random.default_rng(1).normal(size=100_000).astype(np.float32))
    calibrators: dict[str, Calibrator] = {
        "zscore": ZScore({}), "minmax": MinMax({}), "rank": Rank({}), "quantile": Quantile(learnt)
    }  # fmt: skip
    made: dict[str, Callable[[], object]] = {
        name: partial(blender.contributions, asked) for name, blender in blenders().items()
    }
    for name, calibrator in calibrators.items():
        made[f"calibrate: {name}"] = partial(lambda c: [c.calibrate(rows) for rows in asked.calibrated], calibrator)
    return made


def main() -> None:
    """Print the table."""
    columns = [milliseconds(calls(opinions(b))) for b in BATCHES]
    sys.stdout.write(f"{'7 sources, 500 candidates':26}")
    sys.stdout.write("".join(f"{f'ms, B = {b}':>13}{'x weighted':>12}" for b in BATCHES) + "\n")
    for name in columns[0]:
        cells = "".join(f"{c[name]:13.3f}{c[name] / c['weighted, prior']:12.1f}" for c in columns)
        sys.stdout.write(f"{name:26}{cells}\n")


if __name__ == "__main__":
    main()
