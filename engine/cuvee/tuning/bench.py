"""The bench: the sources' opinions on a product's cases, to be scored under any recipe and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cuvee.evaluation.bootstrap import PairedDifference, paired_bootstrap
from cuvee.evaluation.cases import Cases
from cuvee.product import BlendConfig
from cuvee.ranking.blend import Blender, Lesson, Missing
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.plan import Plan
from cuvee.recommender import Ints
from cuvee.registry import Registry
from cuvee.tuning.crossfit import of_people
from cuvee.tuning.objective import Measure, Objective, PerCase, Weights
from cuvee.tuning.opinions import Judged, Standing, opinions_of, select, sources_of, to_block

__all__ = ["Bench", "Learnt", "Recipe"]

ENOUGH_THERE = 200
"""From this many cases with their whole history on, a segment uses no cases with cut histories."""
TAUGHT = 4000
"""Cases that a blender learns from, at most."""
Learnt = Mapping[str, Mapping[str, Mapping[str, list[float]]]]
"""Source -> calibrator -> the parameters that it learnt from the source's scores."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How opinions become a score, apart from the weights."""

    method: str
    calibrate: str
    missing: Missing
    options: Mapping[str, Any]

    @classmethod
    def of(cls, blend: BlendConfig) -> Recipe:
        """The recipe of a product."""
        return cls(blend.method, blend.calibrate, blend.missing, blend.options)


class Bench:
    """The opinions of all sources on all cases. ``own`` is the recipe of the plan."""

    def __init__(
        self,
        registry: Registry,
        plan: Plan,
        own: Recipe,
        learnt: Learnt,
        cases: Cases,
        judged: Sequence[Judged],
        folds: Ints,
        measure: Measure,
    ) -> None:
        self.registry, self.plan, self.own, self.learnt = registry, plan, own, learnt
        self.cases, self.judged, self.folds, self.measure = cases, judged, folds, measure
        self.sources = [source.name for source in plan.sources]
        whole = ~cases.cut
        self.natural = np.asarray(whole if whole.any() else ~whole, np.float64)
        """float64[B]: 1 for the cases that represent the product's users: those with their whole history."""
        shares = np.zeros((len(plan.segments), len(cases)), np.float32)
        self.lengths = np.zeros(len(cases), np.int64)
        """int64[B]: how many liked events each query is answered from."""
        for one in judged:
            shares[:, one.cases] = plan.segment_shares(one.lengths)
            self.lengths[one.cases] = one.lengths
        mine = np.arange(len(plan.segments))[:, None] == plan.segment_of(self.lengths)
        # where enough users have such histories, the cut histories of others would only add noise
        there = (mine & whole).sum(axis=1) >= ENOUGH_THERE
        counts = np.where(there[:, None] & cases.cut, np.float32(0), shares)
        self.counted = counts.sum(axis=0).astype(np.float64)
        """float64[B]: the weight of each case over all segments."""
        self.share = np.asarray(mine & (counts > 0), np.float64)
        """float64[S, B]: 1 for the cases that a segment is measured on: each case is in one segment, by its length."""
        self._standings = [Standing(shares[:, one.cases], counts[:, one.cases]) for one in judged]
        self.allowed, served = sources_of(judged, self._standings)
        """bool[p, S]: which sources have an opinion in each segment."""
        self.silent = served & ~self.allowed
        """bool[p, S]: which sources serve a segment and had no opinion on any of its cases."""

    def split(self, least: int) -> Bench:
        """With one more segment, which begins at so many events and starts with the weights in effect there.

        It is named after the segment that it is split from.
        """
        plan, length = self.plan, np.array([least])
        weights = plan.table.astype(np.float64) @ plan.segment_shares(length)[:, 0]
        name = f"{plan.segments[int(plan.segment_of(length)[0])][0]}_{least}"
        plan = replace(
            plan,
            segments=sorted([*plan.segments, (name, least)], key=lambda one: one[1]),
            weights={**plan.weights, name: dict(zip(self.sources, weights.tolist(), strict=True))},
        )
        return Bench(self.registry, plan, self.own, self.learnt, self.cases, self.judged, self.folds, self.measure)

    def calibrators(self, kind: str) -> dict[str, Calibrator]:
        """Source -> its calibrator of a kind."""
        component = self.registry.calibrators[kind].component
        return {name: component(dict(self.learnt.get(name, {}).get(kind, {}))) for name in self.sources}

    def blender(self, recipe: Recipe) -> Blender:
        """The blender of a recipe."""
        if recipe == self.own:
            return self.plan.blender
        component = self.registry.blenders[recipe.method].component
        made: Blender = component(component.Options.model_validate(dict(recipe.options)), recipe.missing)
        return made

    def learns(self, recipe: Recipe) -> bool:
        """Whether the blender of a recipe has more to learn than weights."""
        return bool(self.registry.blenders[recipe.method].component.learns)

    def objective(self, recipe: Recipe) -> Objective:
        """The metric of every case as a function of the weights, under a recipe.

        A blender that learns and has not learnt yet is applied to each fold as trained on the other folds.
        """
        calibrators = self.calibrators(recipe.calibrate)
        of_fold = [int(self.folds[one.cases[0]]) for one in self.judged]
        taught = self.learns(recipe) and "learnt" not in recipe.options
        blenders = {f: self.blender(self.taught(recipe, but=f) if taught else recipe) for f in sorted(set(of_fold))}
        blocks = [
            to_block(one, self.plan, blenders[fold], calibrators, standing)
            for one, standing, fold in zip(self.judged, self._standings, of_fold, strict=True)
        ]
        return Objective([b for b in blocks if len(b.cases)], len(self.cases), self.measure)

    def taught(self, recipe: Recipe, but: int | None = None) -> Recipe:
        """The recipe with its blender trained on the cases, optionally without those of one fold.

        In total, cases with cut histories count half as much as those with their whole history.
        """
        if not self.learns(recipe) or "learnt" in recipe.options:
            return recipe
        calibrators, drawn = self.calibrators(recipe.calibrate), np.random.default_rng(0)
        able = [
            (one, standing, np.flatnonzero(one.relevant.any(axis=1)))
            for one, standing in zip(self.judged, self._standings, strict=True)
            if self.folds[one.cases[0]] != but
        ]
        part = min(1.0, TAUGHT / max(1, sum(len(rows) for *_, rows in able)))
        whole, cut = self.natural.sum(), len(self.cases) - self.natural.sum()
        lessons = []
        for one, standing, rows in able:
            kept = rows[drawn.random(len(rows)) < part]
            if not len(kept):
                continue
            picked = select(one, kept)
            importance = np.where(self.natural[picked.cases] > 0, 1.0, min(1.0, whole / max(2 * cut, 1)))
            opinions = opinions_of(picked, self.plan, calibrators)
            lessons.append(Lesson(opinions, standing.shares[:, kept], picked.relevant, importance))
        component = self.registry.blenders[recipe.method].component
        return replace(recipe, options={**recipe.options, **component.learn(lessons, recipe.calibrate)})

    def served(self, recipe: Recipe, table: Weights) -> Plan:
        """The plan that serves a recipe with a table of weights, float64[p, S]."""
        weights = {
            name: dict(zip(self.sources, table[:, at].tolist(), strict=True))
            for at, (name, _) in enumerate(self.plan.segments)
        }
        blender, calibrators = self.blender(recipe), self.calibrators(recipe.calibrate)
        return replace(self.plan, blender=blender, calibrators=calibrators, weights={**self.plan.weights, **weights})

    def table(self) -> Weights:
        """float64[p, S]: the weights that the product has."""
        return self.plan.table.astype(np.float64)

    def alone(self, source: int) -> Weights:
        """float64[p, S]: all weight on one source."""
        table = np.zeros(self.allowed.shape)
        table[source] = 1
        return table

    def members(self, recipe: Recipe, objective: Objective) -> list[PerCase]:
        """float64[B] per source: each case's metric by that source alone; 0 where it proposes nothing.

        The source's own order counts, whatever a blender has learnt about it. ``objective`` is the recipe's.
        """
        if self.learns(recipe):
            objective = self.objective(replace(recipe, method="weighted", options={}))
        return [objective.values(self.alone(source)) for source in range(len(self.sources))]

    def people(self, share: PerCase) -> int:
        """The number of people with cases of a share (float64[B]) above 0."""
        return len(np.unique(self.cases.people[share > 0]))

    def compare(self, first: PerCase, second: PerCase, share: PerCase, resamples: int = 10_000) -> PairedDifference:
        """The paired bootstrap of float64[B] over people, cases counting by their share."""
        people = self.cases.people
        return paired_bootstrap(of_people(first, share, people), of_people(second, share, people), resamples=resamples)
