"""Evaluate: fit on the past, list through the pipeline that serves, compare with what came next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from cuvee.config import BlendConfig, FallbackConfig, Product, Settings, SourceUse
from cuvee.data.dataset import Dataset
from cuvee.ranking.ask import ask_directly
from cuvee.ranking.pipeline import make_lists
from cuvee.ranking.plan import Plan
from cuvee.recommender import Ints, Progress
from cuvee.registry import Registry
from cuvee.training import metrics
from cuvee.training.fit import ProgressFor, calibrate
from cuvee.training.fits import FitStore
from cuvee.training.questions import ask_about, in_batches
from cuvee.training.snapshot import compile_plan
from cuvee.training.splits import Split

__all__ = ["Evaluation", "Row", "evaluate", "list_all"]

BLEND = "blend"
"""The row of the product as it serves: its sources, weights, rules and fallback."""


@dataclass(frozen=True)
class Row:
    """The figures of one recommender, or of the blend: means over the test users."""

    name: str
    hit_rate: float
    ndcg: float
    precision: float
    recall: float
    mrr: float
    coverage: float
    seconds: float
    """To list all test users."""


@dataclass(frozen=True)
class Evaluation:
    """A table of rows, and what it was measured on."""

    product: str
    protocol: str
    k: int
    n_users: int
    n_items: int
    n_train: int
    rows: tuple[Row, ...]


def list_all(plan: Plan, data: Dataset, users: Ints, k: int, history: int, progress: Progress) -> Ints:
    """int32[B, k]: the lists of users after all their events in ``data``, -1 pads."""
    lists = np.full((len(users), k), -1, np.int32)
    done = 0
    for batch in in_batches(users):
        answer = asyncio.run(make_lists(plan, ask_about(data, batch, k, history), ask_directly))
        failed = next((r.failure for r in answer.reports if r.failure), None)
        if failed is not None:  # offline nothing may hide behind a degraded answer
            raise failed
        items = answer.items()[:, :k]
        lists[done : done + len(batch), : items.shape[1]] = items
        done += len(batch)
        progress(done, len(users))
    return lists


def _alone(product: Product, name: str) -> Product:
    """The product with one recommender, no fallback, and the same rules."""
    return product.model_copy(
        update={
            "sources": (SourceUse(use=name, candidates=max(product.page_size.max, 100)),),
            "blend": BlendConfig(calibrate=product.blend.calibrate, segments=product.blend.segments),
            "fallback": FallbackConfig(),
        }
    )


def measure(lists: Ints, split: Split, k: int, n_items: int, name: str, seconds: float, *, ideal_over_all: bool) -> Row:
    """The metrics of int32[B, k] lists against what was held out."""
    found = metrics.hits(lists, split.held_out)
    relevant = split.held_out.lengths
    return Row(
        name=name,
        hit_rate=float(metrics.hit_rate(found, k).mean()),
        ndcg=float(metrics.ndcg(found, k, relevant, ideal_over_all=ideal_over_all).mean()),
        precision=float(metrics.precision(found, k).mean()),
        recall=float(metrics.recall(found, k, relevant).mean()),
        mrr=float(metrics.reciprocal_rank(found, k).mean()),
        coverage=metrics.coverage(lists, k, n_items),
        seconds=seconds,
    )


def evaluate(
    settings: Settings,
    registry: Registry,
    name: str,
    split: Split,
    protocol: str,
    progress: ProgressFor,
    *,
    k: int = 10,
    ideal_over_all: bool = False,
    refit: Collection[str] = (),
    clock: Callable[[], float],
) -> Evaluation:
    """Fit every recommender of a product on the split's past and list all test users.

    Full ranking: every item that the user has not seen competes. Each recommender is run alone
    through the same pipeline, then the product as it serves.

    Raises:
        PluginError: a recommender cannot be fitted.
    """
    product = settings.products[name]
    data = split.train
    component = registry.calibrators[product.blend.calibrate].component
    rows = []
    with FitStore.of(settings).fitted(data, settings, registry, product.recommenders, progress, refit=refit) as kept:
        models = {n: f.model for n, f in kept.items()}
        learnt = calibrate(data, product, registry, models)
        for row, config in [*((n, _alone(product, n)) for n in product.recommenders), (BLEND, product)]:
            calibrators = {
                s.use: component(learnt.get(s.use, {}).get(product.blend.calibrate, {})) for s in config.sources
            }
            plan = compile_plan(config, registry, data.catalog, models, calibrators, "")
            started = clock()
            lists = list_all(plan, data, split.users, k, product.history, progress(f"{row}: lists"))
            rows.append(measure(lists, split, k, data.n_items, row, clock() - started, ideal_over_all=ideal_over_all))
    return Evaluation(name, protocol, k, len(split.users), data.n_items, len(data), tuple(rows))
