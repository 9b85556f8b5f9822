"""The bench: a product's gathered opinions, to be weighed under any recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cuvee.config import BlendConfig
from cuvee.ranking.blend import Blender, Missing
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.plan import Plan
from cuvee.recommender import Ints
from cuvee.registry import Registry
from cuvee.training.bootstrap import PairedDifference, paired_bootstrap
from cuvee.training.cases import Cases
from cuvee.training.crossfit import of_people
from cuvee.training.objective import Measure, Objective, PerCase, Weights
from cuvee.training.opinions import Judged, sources_of, to_block

__all__ = ["Bench", "Learnt", "Recipe"]

Learnt = Mapping[str, Mapping[str, Mapping[str, list[float]]]]
"""Source -> calibrator -> what it learnt of the source's scores."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How opinions become a score, weights aside."""

    method: str
    calibrate: str
    missing: Missing
    options: Mapping[str, Any]

    @classmethod
    def of(cls, blend: BlendConfig) -> Recipe:
        """That of a product."""
        return cls(blend.method, blend.calibrate, blend.missing, blend.options)


class Bench:
    """What was said of all cases, by whom, and how to weigh it."""

    def __init__(
        self,
        registry: Registry,
        plan: Plan,
        learnt: Learnt,
        cases: Cases,
        judged: Sequence[Judged],
        folds: Ints,
        measure: Measure,
    ) -> None:
        self.registry, self.plan, self.learnt = registry, plan, learnt
        self.cases, self.judged, self.folds, self.measure = cases, judged, folds, measure
        self.sources = [source.name for source in plan.sources]
        self._shares = [plan.segment_shares(one.lengths) for one in judged]
        self.allowed = sources_of(judged, self._shares)
        """bool[p, S]: which sources have an opinion in each segment."""
        self.share = np.zeros((len(plan.segments), len(cases)))
        """float64[S, B]: how far each case belongs to each segment."""
        for one, shares in zip(judged, self._shares, strict=True):
            self.share[:, one.cases] = shares
        whole = ~cases.cut
        self.natural = np.asarray(whole if whole.any() else ~whole, np.float64)
        """float64[B]: 1 for the cases that stand for the product's users: those with their whole history."""

    def calibrators(self, kind: str) -> dict[str, Calibrator]:
        """Source -> its calibrator of a kind."""
        component = self.registry.calibrators[kind].component
        return {name: component(dict(self.learnt.get(name, {}).get(kind, {}))) for name in self.sources}

    def blender(self, recipe: Recipe) -> Blender:
        """The blender of a recipe."""
        component = self.registry.blenders[recipe.method].component
        made: Blender = component(component.Options.model_validate(dict(recipe.options)), recipe.missing)
        return made

    def objective(self, recipe: Recipe) -> Objective:
        """Every case's metric under any weights, by a recipe."""
        calibrators, blender = self.calibrators(recipe.calibrate), self.blender(recipe)
        blocks = [
            to_block(one, self.plan, blender, calibrators, shares)
            for one, shares in zip(self.judged, self._shares, strict=True)
        ]
        return Objective([b for b in blocks if len(b.cases)], len(self.cases), self.measure)

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

    def member(self, objective: Objective, source: int) -> PerCase:
        """float64[B]: each case's metric by one source alone; 0 where it has no opinion."""
        values = objective.values(self.alone(source))
        for block in objective.blocks:
            values[block.cases[~block.live[source]]] = 0
        return values

    def people(self, share: PerCase) -> int:
        """How many people the cases that have a share of float64[B] are of."""
        return len(np.unique(self.cases.people[share > 0]))

    def compare(self, first: PerCase, second: PerCase, share: PerCase, resamples: int = 10_000) -> PairedDifference:
        """The paired bootstrap of float64[B] over people, cases counting by their share."""
        people = self.cases.people
        return paired_bootstrap(of_people(first, share, people), of_people(second, share, people), resamples=resamples)
