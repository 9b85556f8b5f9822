"""Evaluate: fit on the past, make lists with the serving pipeline, compare them with later events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cuvee.artifacts.snapshot import compile_plan, explorer_of
from cuvee.config import Settings
from cuvee.data.dataset import Dataset
from cuvee.evaluation.baselines import baseline
from cuvee.evaluation.beyond_accuracy import ItemTraits, user_counts
from cuvee.evaluation.bootstrap import paired_bootstrap, paired_bootstraps
from cuvee.evaluation.listing import list_all
from cuvee.evaluation.results import (
    Comparison,
    Evaluation,
    Facts,
    Kind,
    Measured,
    RoundFigures,
    Row,
    Segment,
    figures_of,
    measure,
)
from cuvee.evaluation.trials import Round, Trial
from cuvee.product import BlendConfig, FallbackConfig, Product, SourceUse
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.facts import ItemFacts
from cuvee.ranking.plan import Plan
from cuvee.recommender import Offsets, Recommender
from cuvee.registry import Registry
from cuvee.training.fit import ProgressFor, calibrate
from cuvee.training.kept import FitStore

__all__ = ["BLEND", "Entrant", "entrants", "evaluate"]

BLEND = "blend"
"""The row of the product as it serves: its sources, weights, rules and fallback."""
ALONE_AT_LEAST = 100
"""Least number of candidates of a recommender that is listed alone, so that its list is not cut short."""


@dataclass(frozen=True)
class Entrant:
    """A way to make lists, ready to run."""

    name: str
    kind: Kind
    source: str
    plan: Plan


def evaluate(
    settings: Settings,
    registry: Registry,
    name: str,
    trial: Trial,
    progress: ProgressFor,
    *,
    seed: int = 0,
    ablation: bool = True,
    refit: Collection[str] = (),
    clock: Callable[[], float],
) -> Evaluation:
    """Fit every recommender of a product on a trial's training data, and evaluate all its rounds.

    Each recommender is run alone through the same pipeline, then the product as it serves, then,
    with ``ablation``, the product without each of its sources.

    Raises:
        PluginError: a recommender cannot be fitted.
    """
    product = settings.products[name]
    names = product.recommenders
    store = FitStore.of(settings)
    traits = ItemTraits.of(trial.data.catalog)
    counts = user_counts(Dataset(trial.data.catalog, trial.train.events))
    facts = Facts(trial.data.n_items, int((trial.train.events.lengths > 0).sum()), counts, traits)
    with store.fitted(
        trial.train, settings, registry, names, progress, catalog=trial.data.catalog, refit=refit
    ) as kept:
        reused = {n: k.reused for n, k in kept.items()}
        ways = entrants(product, registry, trial, {n: k.model for n, k in kept.items()}, seed, ablation=ablation)
        rounds, measured = [], []
        for asked in trial.rounds:
            found = _ask(ways, trial, asked, product.history, facts, progress, clock)
            progress("intervals and comparisons")
            lengths = asked.histories.last(product.history).liked
            rounds.append(_round_figures(ways, asked, lengths, found, seed, segmented=trial.segmented))
            measured.append({way.name: m for way, (m, _) in zip(ways, found, strict=True)})
    return Evaluation(
        product=name,
        protocol=trial.protocol,
        seed=seed,
        n_users=trial.n_people,
        n_known=trial.n_asked,
        n_items=trial.data.n_items,
        n_train=len(trial.train),
        rounds=rounds,
        comparisons=_between(trial, rounds, measured, seed),
        notes=trial.notes,
        diversity_on=traits.columns if traits else (),
        seen_filtered=any(rule.use == "exclude_seen" and not rule.options for rule in product.rules),
        ideal_over_all=trial.ideal_over_all,
        reused=reused,
    )


def _alone(product: Product, name: str) -> Product:
    """The product with one recommender, no fallback, and the same rules."""
    candidates = max(product.page_size.max, ALONE_AT_LEAST)
    return product.model_copy(
        update={
            "sources": (SourceUse(use=name, candidates=candidates),),
            # the z-score keeps different scores different, so the order is the recommender's own
            "blend": BlendConfig(calibrate="zscore", segments=product.blend.segments),
            "fallback": FallbackConfig(),
        }
    )


def entrants(
    product: Product,
    registry: Registry,
    trial: Trial,
    models: Mapping[str, Recommender[Any]],
    seed: int,
    *,
    ablation: bool,
) -> list[Entrant]:
    """All rows in the order in which they are shown: members, baselines, blend, ablations."""
    catalog = trial.data.catalog
    plain: Calibrator = registry.calibrators["zscore"].component({})
    found = []
    for name in product.recommenders:
        plan = compile_plan(_alone(product, name), registry, catalog, models, {name: plain}, "")
        found.append(Entrant(name, Kind.MEMBER, name, plan.without_filling()))
    for name in trial.baselines:
        own = {name: baseline(name, trial.train, len(catalog.items), seed)}
        plan = compile_plan(_alone(product, name), registry, catalog, own, {name: plain}, "")
        found.append(Entrant(name, Kind.BASELINE, "", plan.without_filling()))
    # calibrators learn on the served catalogue, whose newest items the loaded models score, too
    served = Dataset(catalog, trial.train.events)
    learnt = calibrate(served, product, registry, models)
    component = registry.calibrators[product.blend.calibrate].component
    calibrators = {s.use: component(learnt.get(s.use, {}).get(product.blend.calibrate, {})) for s in product.sources}
    blend = compile_plan(product, registry, catalog, models, calibrators, "", ItemFacts.of(served))
    blend = replace(blend, explorer=explorer_of(product, served, ""))
    found.append(Entrant(BLEND, Kind.BLEND, "", blend))
    if ablation and len(blend.sources) > 1:
        found += [Entrant(f"without {s.name}", Kind.WITHOUT, s.name, without(blend, s.name)) for s in blend.sources]
    return found


def without(plan: Plan, source: str) -> Plan:
    """The plan without a source: it has no weight anywhere, and is not in the fallback chain.

    A segment that had no other weights gets equal weights for the others.
    """
    others = {s.name for s in plan.sources} - {source}
    weights = {}
    for segment, _ in plan.segments:
        table = plan.weights.get(segment, dict.fromkeys(others, 1.0))
        left = {n: w for n, w in table.items() if n in others and w > 0}
        weights[segment] = left or dict.fromkeys(others, 1.0)
    return replace(plan, weights=weights, fallback=[s for s in plan.fallback if s.name != source])


def _ask(
    ways: Sequence[Entrant],
    trial: Trial,
    asked: Round,
    history: int,
    facts: Facts,
    progress: ProgressFor,
    clock: Callable[[], float],
) -> list[tuple[Measured, float]]:
    """For each row its figures for every user, and the seconds that its lists took."""
    questions = list(trial.questions(asked, history))
    found = []
    for way in ways:
        told = progress(f"{asked.name}: {way.name}" if asked.name else f"{way.name}: lists")
        started = clock()
        lists = list_all(way.plan, questions, asked.k, told)
        seconds = clock() - started
        found.append((measure(lists, asked, facts, ideal_over_all=trial.ideal_over_all), seconds))
    return found


def _round_figures(
    ways: Sequence[Entrant],
    asked: Round,
    lengths: Offsets,
    found: Sequence[tuple[Measured, float]],
    seed: int,
    *,
    segmented: bool,
) -> RoundFigures:
    """``lengths``, int64[B]: how many liked events each query is answered from."""
    measured = [m for m, _ in found]
    everyone = figures_of(measured, seed)
    plan = next(w.plan for w in ways if w.kind is Kind.BLEND)
    own = plan.segment_of(lengths)
    segments, within = [], []
    for at, (name, least) in enumerate(plan.segments):
        rows = np.flatnonzero(own == at)
        if segmented and len(rows):
            most = plan.segments[at + 1][1] - 1 if at + 1 < len(plan.segments) else None
            segments.append(Segment(name, least, most, len(rows)))
            within.append((name, rows, figures_of(measured, seed, rows)))
    rows_shown = [
        Row(way.name, way.kind, way.source, everyone[at], {n: f[at] for n, _, f in within}, found[at][1])
        for at, way in enumerate(ways)
    ]
    primary = "recall" if asked.about_new else "ndcg"
    best = _best_member(rows_shown, primary)
    comparisons = _against_all(ways, measured, primary, seed)
    for name, rows, _ in within:
        of_segment = _best_member(rows_shown, primary, name)
        by_name = {w.name: m.per_user[primary][rows] for w, m in zip(ways, measured, strict=True)}
        difference = paired_bootstrap(by_name[BLEND], by_name[of_segment], seed=seed)
        comparisons.append(Comparison(BLEND, of_segment, primary, name, difference))
    return RoundFigures(asked.name, asked.k, primary, len(asked), rows_shown, segments, best, comparisons)


def _best_member(rows: Sequence[Row], metric: str, segment: str = "") -> str:
    members = [r for r in rows if r.kind is Kind.MEMBER]

    def worth(row: Row) -> float:
        return (row.segments[segment] if segment else row.figures).means[metric].mean

    return max(members, key=worth).name


def _against_all(ways: Sequence[Entrant], measured: Sequence[Measured], metric: str, seed: int) -> list[Comparison]:
    by_name = {w.name: m.per_user[metric] for w, m in zip(ways, measured, strict=True)}
    blend = by_name.pop(BLEND)
    found = paired_bootstraps(blend, list(by_name.values()), seed=seed) if by_name else ()
    return [Comparison(BLEND, name, metric, "", one) for name, one in zip(by_name, found, strict=True)]


def _between(
    trial: Trial, rounds: Sequence[RoundFigures], measured: Sequence[Mapping[str, Measured]], seed: int
) -> list[Comparison]:
    """The blend of one round against that of the round before, where both have the same users and right items."""
    found = []
    pairs = zip(trial.rounds, trial.rounds[1:], strict=False)
    for at, (one, other) in enumerate(pairs):
        same = np.array_equal(one.people, other.people) and np.array_equal(one.held_out.items, other.held_out.items)
        if not same or one.about_new:
            continue
        metric = rounds[at].primary
        later, earlier = measured[at + 1][BLEND], measured[at][BLEND]
        difference = paired_bootstrap(later.per_user[metric], earlier.per_user[metric], seed=seed)
        found.append(Comparison(other.name, one.name, metric, "", difference))
    return found
