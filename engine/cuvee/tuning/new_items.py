"""New items: how optimistically to score them without making lists of known items worse.

A source that learns from events has no opinion on an item without events. With an average score, such
an item never enters a list. So the score for a missing opinion (``optimism`` of the blenders ``weighted``
and ``learned``) is learnt: some items are withheld from the fit completely, then lists are made at several
levels of optimism. The chosen level is the one that finds most withheld items while the metric of known
items loses no more than :data:`BEARABLE`, within its confidence interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.artifacts.snapshot import compile_plan
from cuvee.config import Settings
from cuvee.data.dataset import Dataset
from cuvee.errors import DataError, InvalidArgument
from cuvee.evaluation.bootstrap import PairedDifference
from cuvee.evaluation.cases import Cases
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.protocols import NEW_ITEMS_K, carry_out
from cuvee.evaluation.trials import Round
from cuvee.ranking.blend import WeightedOptions
from cuvee.ranking.facts import ItemFacts
from cuvee.registry import Registry
from cuvee.training.fit import ProgressFor, calibrate
from cuvee.training.kept import FitStore
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.objective import Measure, PerCase
from cuvee.tuning.opinions import Judged, gather_opinions

__all__ = ["BEARABLE", "LEVELS", "Level", "NewItemsTuning", "tune_new_items"]

LEVELS = tuple(float(x) for x in np.arange(0, 5.01, 0.25))
"""Levels of optimism that are tried, in standard deviations."""
BEARABLE = 0.005
"""Share of the metric that known items may lose. It is half of what a product would accept, since the interval
covers the sampling of people, but not that of the withheld items."""


@dataclass(frozen=True)
class Level:
    """The result of one level of optimism."""

    optimism: float
    known: PairedDifference
    """The product's metric on known items: with new items served, compared with not serving them."""
    found: float
    """Recall of new items among the first :data:`~cuvee.evaluation.protocols.NEW_ITEMS_K` of all."""


@dataclass(frozen=True)
class NewItemsTuning:
    """What was found."""

    product: str
    measure: Measure
    n_new: int
    people: int
    """The number of people evaluated on known items."""
    fans: int
    """The number of people who like a new item."""
    had: float
    """The product's current optimism."""
    levels: Sequence[Level]
    chosen: float
    """The acceptable level that finds most new items; 0 where none is acceptable."""
    members: Mapping[str, float]
    """Recall of new items by each source alone."""


def tune_new_items(
    settings: Settings,
    registry: Registry,
    name: str,
    data: Dataset,
    measure: Measure,
    progress: ProgressFor,
    *,
    users: int | None = None,
    seed: int = 0,
    refit: Collection[str] = (),
) -> NewItemsTuning:
    """Learn the optimism of a product on its data without each user's last event, which is the test's.

    Every source is fitted once more, without a tenth of the items. ``users`` is how many are evaluated,
    everyone by default.

    Raises:
        InvalidArgument: the product's blender has no optimism.
        DataError: nobody can be evaluated, or only on known items.
        PluginError: a recommender cannot be fitted.
    """
    product = settings.products[name]
    blend = product.blend
    if not issubclass(registry.blenders[blend.method].component.Options, WeightedOptions) or blend.missing != "prior":
        raise InvalidArgument(
            "--new-items",
            f"learns blend.options.optimism, which {name} does not have: method is {blend.method!r} and missing "
            f'{blend.missing!r}; set "weighted" or "learned", and "prior"',
        )
    # not the items that `cuvee evaluate` draws with the same seed
    trial = carry_out(Protocol.COLD_ITEMS, data.where(data.events.ages >= 1), measure.k, seed + 1, users)
    rounds = {one.about_new: one for one in trial.rounds if one.eligible is None}
    if len(rounds) < len((True, False)):
        raise DataError("nobody likes one of the items that were withheld, or one of the others; import more events")
    served = Dataset(trial.data.catalog, trial.train.events)
    with FitStore.of(settings).fitted(
        trial.train, settings, registry, product.recommenders, progress, catalog=served.catalog, refit=refit
    ) as kept:
        models = {n: one.model for n, one in kept.items()}
        learnt = calibrate(served, product, registry, models)
        component = registry.calibrators[blend.calibrate].component
        own = {s.use: component(learnt.get(s.use, {}).get(blend.calibrate, {})) for s in product.sources}
        plan = compile_plan(product, registry, served.catalog, models, own, "", ItemFacts.of(served))

        def gathered(asked: Round, measure: Measure) -> Bench:
            uncut = np.zeros(len(asked), np.bool_)
            cases, one_fold = (
                Cases(asked.people, asked.histories, asked.held_out, uncut),
                np.zeros(len(asked), np.int32),
            )
            now = float(served.events.times.max(initial=0.0))
            told = progress(f"opinions, {asked.name}")
            judged = gather_opinions(plan, served.catalog, cases, one_fold, now, product.history, told)
            return Bench(registry, plan, Recipe.of(blend), learnt, cases, judged, one_fold, measure)

        known = gathered(rounds[False], measure)
        fans = gathered(rounds[True], Measure("recall", NEW_ITEMS_K))
    levels = _levels(known, fans, trial.train.n_items, progress)
    bearable = [one for one in levels if one.known.uplift.low >= -BEARABLE]
    plain = replace(fans.own, method="weighted", options={})
    alone = fans.members(plain, fans.objective(plain))
    return NewItemsTuning(
        product=name,
        measure=measure,
        n_new=served.n_items - trial.train.n_items,
        people=len(known.cases),
        fans=len(fans.cases),
        had=float(blend.options.get("optimism", 0.0)),
        levels=levels,
        chosen=max(bearable, key=lambda one: (one.found, -one.optimism)).optimism if bearable else 0.0,
        members={n: float(values.mean()) for n, values in zip(fans.sources, alone, strict=True)},
    )


def _levels(known: Bench, fans: Bench, first_new: int, progress: ProgressFor) -> list[Level]:
    """Every level, measured. Items from position ``first_new`` on are new."""
    hidden = Bench(
        known.registry, known.plan, known.own, known.learnt, known.cases,
        [_without(one, first_new) for one in known.judged], known.folds, known.measure,
    )  # fmt: skip
    not_served = _values(hidden, hidden.own)
    found, told = [], progress("levels of optimism")
    for at, level in enumerate(LEVELS, start=1):
        hopeful = replace(known.own, options={**known.own.options, "optimism": level})
        against = known.compare(_values(known, hopeful), not_served, known.natural)
        found.append(Level(level, against, float(_values(fans, hopeful).mean())))
        told(at, len(LEVELS))
    return found


def _values(bench: Bench, recipe: Recipe) -> PerCase:
    """float64[B]: each case's metric by a recipe, under the weights that the product has."""
    return bench.objective(recipe).values(bench.table())


def _without(judged: Judged, first_new: int) -> Judged:
    """Without the items from a position on."""
    gone = judged.items >= first_new
    return replace(
        judged,
        items=np.where(gone, np.int32(-1), judged.items),
        raw=np.where(gone, np.float32(np.nan), judged.raw),
        ranks=np.where(gone, np.int32(0), judged.ranks),
        relevant=judged.relevant & ~gone,
    )
