"""What tuning finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cuvee.evaluation.bootstrap import PairedDifference
from cuvee.tuning.bench import Recipe
from cuvee.tuning.curves import SegmentCurves
from cuvee.tuning.objective import Measure

__all__ = ["Group", "SegmentTuning", "Tried", "Tuning"]


@dataclass(frozen=True)
class Group:
    """The figures of some people."""

    people: int
    cases: int
    before: float
    """The metric with the product's current weights."""
    after: float
    """The metric with the learnt weights, out of fold."""
    members: Mapping[str, float]
    """Source -> the metric of that source alone; empty without cases."""
    best_member: str
    """The best of them; empty without cases."""
    against_best: PairedDifference | None
    """Out of fold, against the best member alone; None without cases."""


@dataclass(frozen=True)
class SegmentTuning:
    """The result for one segment."""

    name: str
    least: int
    """The number of events at which the segment begins."""
    known: Group
    """Users with their whole history, each in the one segment of its length: those of ``cuvee evaluate``, less
    the withheld ones."""
    new: Group
    """People who are withheld from every model, each queried after his first events, as many as belong to this
    segment; nobody where there are enough known users."""
    judged: Group
    """Both together: those that the weights were decided on."""
    weights: Mapping[str, float]
    """Source -> weight, those above 0; empty where the segment keeps what it has."""
    spread: Mapping[str, float]
    """Source -> standard deviation of its weight between the folds."""
    alone: bool
    """Whether the best member stands alone, since the blend was not better."""
    beside: Sequence[str] = ()
    """Sources that keep their weight, since they had no opinion on any case and nothing was learnt about them."""


@dataclass(frozen=True)
class Tried:
    """The result of a recipe: out of fold, over the cases with their whole history."""

    recipe: Recipe
    value: float
    against_best: PairedDifference
    against_last: PairedDifference | None
    """Against the row before it in the table."""
    seconds: float
    """Median time of one request, the models called directly."""


@dataclass(frozen=True)
class Tuning:
    """What tuning found."""

    product: str
    measure: Measure
    window: str
    people: int
    withheld: int
    n_cases: int
    recipe: Recipe
    before: float
    after: float
    members: Mapping[str, float]
    """Each source alone."""
    best_member: str
    against_best: PairedDifference
    against_before: PairedDifference
    segments: Sequence[SegmentTuning]
    curves: Sequence[SegmentCurves]
    tried: Sequence[Tried]
    member_seconds: float
    """Median time of one request to the best member alone; 0 where nothing was compared."""
    calibrators: Mapping[str, float]
    """The calibrators tried under ``auto``, with their metrics out of fold."""

    @property
    def refused(self) -> str:
        """Why nothing is proposed; empty where the blend is better."""
        best = self.against_best
        if self.after == best.second == 0:
            return (
                f"{self.measure} is 0 for every source and every blend: nobody's right item is among the first "
                f"{self.measure.k}, so there is nothing to learn from; import more events, or ask for more items by --k"
            )
        if not best.difference.low > 0:
            return (
                f"the blend is not better than {self.best_member} alone: {self.measure} {self.after:.4f} against "
                f"{best.second:.4f}{_chance(best)}{self._better_method()}"
            )
        if self.after <= self.before:
            learnt = (
                "no segment has better weights" if self.after == self.before else "the learnt weights are no better"
            )
            return (
                f"{learnt} than the product has: {self.measure} {self.after:.4f}, against {self.before:.4f} as it is; "
                f"where its weights were learnt on this very window, there is nothing more in it"
            )
        return ""

    def _better_method(self) -> str:
        """The method that does beat the best member, if one that was tried does, and how to have it."""
        others = [one for one in self.tried if one.recipe.method != self.recipe.method]
        able = [one for one in others if one.against_best.difference.low > 0]
        if not able:
            return ""
        best = max(able, key=lambda one: one.value)
        name = best.recipe.method
        return f"; {name} is, {best.against_best.uplift.mean:+.1%}: say --method {name}"


def _chance(found: PairedDifference) -> str:
    """How much better the first is, with the lower bound of the interval, in words."""
    if math.isfinite(found.uplift.low):
        return f", {found.uplift.mean:+.1%}, and chance alone may take it to {found.uplift.low:+.1%}"
    if math.isfinite(found.difference.low):
        return f", and chance alone may take the difference to {found.difference.low:+.4f}"
    return ", of a single person"
