"""Tune: learn the weight of each source by the length of a user's history, and check that it is better.

1. Fit every source on a window of the past, and get the opinions of all of them on its cases, once.
2. Learn the weights of each segment on some people and measure them on others.
3. A segment whose blend is not better than its best member gets that member alone. One that neither of
   them improves keeps its weights. One inside which the blend falls behind a member is split there.
4. The blend as a whole must be better than the best member by more than chance allows, and better than
   the product is now; otherwise nothing is proposed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from cuvee.artifacts.snapshot import compile_plan
from cuvee.config import Settings
from cuvee.evaluation.cases import Window
from cuvee.ranking.blend import Missing
from cuvee.ranking.facts import ItemFacts
from cuvee.recommender import Bools
from cuvee.registry import Registry
from cuvee.training.fit import ProgressFor, calibrate
from cuvee.training.kept import FitStore
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.comparison import chosen, compared
from cuvee.tuning.crossfit import deal, weighted_mean
from cuvee.tuning.curves import SegmentCurves, curves_of
from cuvee.tuning.decision import Decision, decide
from cuvee.tuning.fitting import BlendFit, fit_blend
from cuvee.tuning.objective import Measure, Objective, PerCase, Weights
from cuvee.tuning.opinions import gather_opinions
from cuvee.tuning.results import Group, SegmentTuning, Tuning

__all__ = ["AUTO", "tune"]

AUTO = "auto"
"""In place of a calibrator: try them all."""


def tune(
    settings: Settings,
    registry: Registry,
    name: str,
    window: Window,
    measure: Measure,
    progress: ProgressFor,
    *,
    method: str | None = None,
    calibrate_by: str | None = None,
    missing: Missing | None = None,
    compare: bool = False,
    refit: Collection[str] = (),
) -> Tuning:
    """Learn a product's weights on a window.

    ``calibrate_by`` (a calibrator, or ``auto`` to choose one here), ``missing`` and ``method`` are the product's
    own by default; but with ``compare``, the methods of :mod:`cuvee.tuning.comparison` are tried, and the
    method, where none is given, is the one chosen there. Those in ``refit`` are fitted anew.

    Raises:
        PluginError: a recommender cannot be fitted.
    """
    product = settings.products[name]
    data = window.train
    names = product.recommenders
    with FitStore.of(settings).fitted(data, settings, registry, names, progress, refit=refit) as kept:
        models = {n: one.model for n, one in kept.items()}
        learnt = calibrate(data, product, registry, models)
        component = registry.calibrators[product.blend.calibrate].component
        own = {s.use: component(learnt.get(s.use, {}).get(product.blend.calibrate, {})) for s in product.sources}
        plan = compile_plan(product, registry, data.catalog, models, own, "", ItemFacts.of(data))
        folds = deal(window.cases.people)
        now = float(data.events.times.max(initial=0.0))
        judged = gather_opinions(
            plan, data.catalog, window.cases, folds, now, product.history, progress("opinions of every source")
        )
        served = Recipe.of(product.blend)
        bench = Bench(registry, plan, served, learnt, window.cases, judged, folds, measure)
        unchanged = (served.method, served.missing)
        recipe = replace(
            served,
            method=method or served.method,
            missing=missing or served.missing,
            options=served.options if (method or served.method, missing or served.missing) == unchanged else {},
        )
        calibrators: dict[str, float] = {}
        if calibrate_by == AUTO:
            calibrators = _calibrators(bench, recipe, registry, progress)
            recipe = replace(recipe, calibrate=max(calibrators, key=calibrators.__getitem__))
        elif calibrate_by:
            recipe = replace(recipe, calibrate=calibrate_by)
        fits: Mapping[str, BlendFit] = {}
        if compare and method is None:
            recipe, fits = chosen(bench, recipe, progress)
        decision = decide(bench, recipe, progress, fits.get(recipe.method))
        own_segments = frozenset(product.blend.segments)
        found, values, table = _tuned(decision, name, own_segments, window, calibrators, progress)
        if not compare:
            return found
        others = fits if decision.bench is bench else {}  # a segment was split: all are fitted anew
        return compared(decision.bench, found, (values, table), others, now, product.history, progress)


def _calibrators(bench: Bench, recipe: Recipe, registry: Registry, progress: ProgressFor) -> dict[str, float]:
    """Calibrator -> metric out of fold, by the recipe's method."""
    return {
        kind: weighted_mean(fit_blend(bench, replace(recipe, calibrate=kind), progress).cross.values(), bench.natural)
        for kind in registry.calibrators
    }


def _tuned(
    decision: Decision,
    name: str,
    own: Collection[str],
    window: Window,
    calibrators: Mapping[str, float],
    progress: ProgressFor,
) -> tuple[Tuning, PerCase, Weights]:
    """The result, each case's metric out of fold, and the table of weights float64[p, S].

    ``own`` are the product's segments: the weights of segments that are split off are always written.
    """
    bench, fit, members, learnt = decision.bench, decision.fit, decision.members, decision.learnt
    objective = fit.objective
    before, after = decision.before, learnt.values()
    final = _beside_the_silent(decision.table, bench.table(), bench.silent)
    told = progress("metric against weight")
    segments, curves = [], []
    for at in range(len(bench.plan.segments)):
        segments.append(_segment(decision, at, after, final, own=own))
        if segments[-1].judged.people:
            curves.append(_curves(bench, objective, at, segments[-1], final))
        told(at + 1, len(bench.plan.segments))
    means = [weighted_mean(values, bench.natural) for values in members]
    best = int(np.argmax(means))
    found = Tuning(
        product=name,
        measure=bench.measure,
        window=window.name,
        people=bench.people(bench.natural),
        withheld=window.withheld,
        n_cases=len(bench.cases),
        recipe=fit.recipe,
        before=weighted_mean(before, bench.natural),
        after=weighted_mean(after, bench.natural),
        members=dict(zip(bench.sources, means, strict=True)),
        best_member=bench.sources[best],
        against_best=bench.compare(after, members[best], bench.natural),
        against_before=bench.compare(after, before, bench.natural),
        segments=segments,
        curves=curves,
        tried=(),
        member_seconds=0.0,
        calibrators=calibrators,
    )
    return found, after, final


def _beside_the_silent(learnt: Weights, had: Weights, silent: Bools) -> Weights:
    """float64[p, S]: the learnt weights, combined with the old ones of sources without any opinion.

    A source that serves a segment but had no opinion on any of its cases (``silent``, bool[p, S]; such as
    one that uses declared interests, where no new user declares any) keeps its share, up to a half,
    since nothing was learnt about it.
    """
    kept = np.where(silent, had, 0)
    share = kept.sum(axis=0)
    kept *= np.minimum(share, 0.5) / np.maximum(share, 1e-12)
    return np.asarray(np.round(learnt * (1 - kept.sum(axis=0)) + kept, 3))


def _segment(decision: Decision, at: int, after: PerCase, final: Weights, *, own: Collection[str]) -> SegmentTuning:
    bench = decision.bench
    name, least = bench.plan.segments[at]
    judged = _group(decision, after, bench.share[at])
    written = not (decision.kept[at] and name in own)
    silent = bench.silent[:, at] & (final[:, at] > 0)
    return SegmentTuning(
        name=name,
        least=least,
        known=_group(decision, after, np.where(bench.cases.cut, 0.0, bench.share[at])),
        new=_group(decision, after, np.where(bench.cases.cut, bench.share[at], 0.0)),
        judged=judged,
        weights={n: float(w) for n, w in zip(bench.sources, final[:, at], strict=True) if w > 0} if written else {},
        spread=dict(zip(bench.sources, decision.learnt.spread[:, at].tolist(), strict=True)),
        alone=decision.alone[at],
        beside=[n for n, keeps in zip(bench.sources, silent, strict=True) if keeps and n != judged.best_member],
    )


def _group(decision: Decision, after: PerCase, share: PerCase) -> Group:
    """The figures of cases that count by float64[B]; ``after`` is their metric with the learnt weights."""
    bench = decision.bench
    cases = int((share > 0).sum())
    if not cases:
        return Group(0, 0, 0.0, 0.0, {}, "", None)
    means = [weighted_mean(values, share) for values in decision.members]
    best = int(np.argmax(means))
    return Group(
        people=bench.people(share),
        cases=cases,
        before=weighted_mean(decision.before, share),
        after=weighted_mean(after, share),
        members=dict(zip(bench.sources, means, strict=True)),
        best_member=bench.sources[best],
        against_best=bench.compare(after, decision.members[best], share, 2000),
    )


def _curves(bench: Bench, objective: Objective, at: int, segment: SegmentTuning, final: Weights) -> SegmentCurves:
    judged = segment.judged
    against = judged.against_best
    last = bench.plan.segments[at + 1][1] - 1 if at + 1 < len(bench.plan.segments) else None
    if last == segment.least:
        events = {0: "no events", 1: "1 event"}.get(last, f"{last} events")
    else:
        events = f"{segment.least} events or more" if last is None else f"{segment.least} to {last} events"
    return SegmentCurves(
        segment=segment.name,
        title=f"{segment.name}: {events}, {judged.people:,} people",
        curves=curves_of(objective, final, bench.allowed, bench.share[at], at, bench.sources),
        learnt=weighted_mean(objective.values(final), bench.share[at]),
        best_member=judged.best_member,
        best_value=against.second if against else 0.0,
    )
