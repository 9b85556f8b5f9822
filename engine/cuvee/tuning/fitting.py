"""Fitting a blend: its blender's parameters and the weights, each measured on people not learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cuvee.training.fit import ProgressFor
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.crossfit import FOLDS, CrossFit, cross_fit, trimmed
from cuvee.tuning.objective import Objective, Weights

__all__ = ["BlendFit", "fit_blend"]


@dataclass(frozen=True)
class BlendFit:
    """A fitted blend."""

    recipe: Recipe
    """The recipe with its blender trained on everyone."""
    cross: CrossFit
    """The weights learnt for each fold without its people."""
    table: Weights
    """float64[p, S]: the weights to be used, the mean of the folds'."""

    @property
    def objective(self) -> Objective:
        """All cases, each scored by a blender that was trained on the other folds."""
        return self.cross.objective


def fit_blend(bench: Bench, recipe: Recipe, progress: ProgressFor) -> BlendFit:
    """Fit a recipe's blender, where it learns, and its weights."""
    told = _steps(progress, f"{recipe.method}, {recipe.calibrate}", 2 * FOLDS)
    if bench.learns(recipe):
        recipe = replace(recipe, options={k: v for k, v in recipe.options.items() if k not in ("learnt", "model")})
    cross = cross_fit(bench.objective(recipe), bench.allowed, bench.folds, told)
    return BlendFit(bench.taught(recipe), cross, trimmed(np.mean(cross.tables, axis=0), bench.allowed))


def _steps(progress: ProgressFor, what: str, total: int) -> Callable[[], None]:
    """Advances a progress bar at each step."""
    told, done = progress(what), 0

    def step() -> None:
        nonlocal done
        done += 1
        told(done, total)

    told(0, total)
    return step
