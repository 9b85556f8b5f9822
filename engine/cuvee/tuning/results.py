"""What tuning finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cuvee.evaluation.bootstrap import PairedDifference
from cuvee.tuning.bench import Recipe
from cuvee.tuning.curves import SegmentCurves
from cuvee.tuning.objective import Measure

__all__ = ["SegmentTuning", "Tried", "Tuning"]


@dataclass(frozen=True)
class SegmentTuning:
    """What was learnt for one segment."""

    name: str
    least: int
    """Events from which on the segment begins."""
    people: int
    cases: int
    cut: int
    """Of the cases, those whose history was cut to its first events."""
    before: float
    """The metric with the weights that the product has."""
    after: float
    """The metric with the learnt ones, out of fold."""
    best_member: str
    against_best: PairedDifference | None
    """Out of fold, against the best member alone; None without cases."""
    weights: Mapping[str, float]
    """Source -> weight, those above 0; empty where the segment keeps what it has."""
    spread: Mapping[str, float]
    """Source -> standard deviation of its weight between the folds."""
    alone: bool
    """Whether the best member stands alone, since the blend was not better."""


@dataclass(frozen=True)
class Tried:
    """A recipe that was tried: out of fold, over the cases with their whole history."""

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
    """What was tried under ``auto``: calibrator -> metric, out of fold."""

    @property
    def refused(self) -> str:
        """Why nothing is proposed; empty where the blend is better."""
        best, low = self.against_best.uplift.mean, self.against_best.uplift.low
        if not self.against_best.difference.low > 0:
            return (
                f"the blend is not better than {self.best_member} alone: {self.measure} {self.after:.4f} against "
                f"{self.members[self.best_member]:.4f}, {best:+.1%}, and chance alone may take it to {low:+.1%}"
            )
        if self.against_before.difference.high < 0:
            return (
                f"the weights that the product has are better: {self.measure} {self.before:.4f}, against "
                f"{self.after:.4f} of the learnt ones; if they were learnt on this very window, there is nothing "
                "more in it"
            )
        return ""
