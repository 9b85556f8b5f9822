"""The comparison: which blending method is better, by how much each beats the one before it, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cuvee.ranking.ask import Directly
from cuvee.ranking.pipeline import make_lists
from cuvee.ranking.plan import Plan
from cuvee.recommender import Progress
from cuvee.training.fit import ProgressFor
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.crossfit import weighted_mean
from cuvee.tuning.fitting import BlendFit, fit_blend
from cuvee.tuning.objective import PerCase, Weights
from cuvee.tuning.opinions import question_of
from cuvee.tuning.results import Tried, Tuning

__all__ = ["CHOSEN", "METHODS", "chosen", "compared"]

METHODS = ("rrf", "weighted", "learned")
"""From the simplest to the one that learns most."""
CHOSEN = ("weighted", "learned")
"""Those that tuning chooses between, the simpler first."""
TIMED = 60
"""How many requests each is timed with."""


def under(bench: Bench, recipe: Recipe, method: str) -> Recipe:
    """A recipe under another method, with those of its options that the method has, too, but for what was learnt."""
    known = bench.registry.blenders[method].component.Options.model_fields
    kept = {k: v for k, v in recipe.options.items() if k in known and k not in ("learnt", "model")}
    return replace(recipe, method=method, options=kept)


def chosen(bench: Bench, recipe: Recipe, progress: ProgressFor) -> tuple[Recipe, Mapping[str, BlendFit]]:
    """The recipe under the simplest of :data:`CHOSEN` that no other beats, and the fit of each.

    A method beats a simpler one where it is better by more than chance allows: out of fold, the same people, the
    lower end of the paired interval above 0. A recipe of another method stays as it is.
    """
    if recipe.method not in CHOSEN:
        return recipe, {}
    fits: dict[str, BlendFit] = {}
    best = ""
    for method in CHOSEN:
        fits[method] = fit_blend(bench, recipe if method == recipe.method else under(bench, recipe, method), progress)
        values = fits[method].cross.values()
        if not best or bench.compare(values, fits[best].cross.values(), bench.natural).difference.low > 0:
            best = method
    return fits[best].recipe, fits


def compared(
    bench: Bench,
    found: Tuning,
    own: tuple[PerCase, Weights],
    fits: Mapping[str, BlendFit],
    now: float,
    history: int,
    progress: ProgressFor,
) -> Tuning:
    """The tuning with a row for each method, all learnt and measured in the same way: out of fold, same people.

    ``own`` is what the tuning's own method came to: each case's metric, float64[B], and the table of
    weights; ``fits`` are those of other methods that are made already. ``now`` is the time of the questions
    (seconds since the epoch), ``history`` how many events sources get.
    """
    rows: list[tuple[Recipe, PerCase, Weights]] = []
    for method in METHODS:
        if method == found.recipe.method:
            rows.append((found.recipe, *own))
        elif method in bench.registry.blenders:
            fit = fits.get(method) or fit_blend(bench, under(bench, found.recipe, method), progress)
            rows.append((fit.recipe, fit.cross.values(), fit.table))
    best = bench.sources.index(found.best_member)
    plain = replace(found.recipe, method="weighted", options={})
    member = bench.members(plain, bench.objective(plain))[best]
    plans = [bench.served(plain, bench.alone(best)), *(bench.served(r, table) for r, _, table in rows)]
    seconds = _seconds(bench, plans, now, history, progress("requests, timed"))
    tried = []
    for at, (recipe, values, _) in enumerate(rows):
        tried.append(
            Tried(
                recipe=recipe,
                value=weighted_mean(values, bench.natural),
                against_best=bench.compare(values, member, bench.natural),
                against_last=bench.compare(values, rows[at - 1][1], bench.natural) if at else None,
                seconds=seconds[at + 1],
            )
        )
    return replace(found, tried=tried, member_seconds=seconds[0])


def _seconds(bench: Bench, plans: Sequence[Plan], now: float, history: int, told: Progress) -> list[float]:
    """The median time of one request under each plan. Plans take turns, so that other load affects all alike."""
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(bench.natural > 0))[:TIMED]
    took = np.empty((len(drawn), len(plans)))
    with Directly() as ask:
        for row, case in enumerate(drawn):
            batch = bench.cases.select(np.array([case]))
            for at, plan in enumerate(plans):
                question = question_of(batch, bench.plan.catalog, now, history, bench.measure.k)
                started = time.perf_counter()
                make_lists(plan.without_filling(), question, ask)
                took[row, at] = time.perf_counter() - started
            told(row + 1, len(drawn))
    return [float(t) for t in np.median(took, axis=0)]
