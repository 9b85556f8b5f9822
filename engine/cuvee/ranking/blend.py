"""Blending: calibrated opinions and weights to contributions that add up to the score.

``p`` is the number of sources. A blender returns the contribution matrix float32[p, B, M]; the
score of an item is its sum over p, so attribution is exact by construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from cuvee import kernels
from cuvee.ranking.places import places
from cuvee.recommender import Bools, Floats, Ints, Offsets, Times

__all__ = [
    "Blender", "BlenderOptions", "Lesson", "Missing", "Opinions", "ReciprocalRankFusion", "WeightedOptions",
    "WeightedSum", "live_weights", "with_prior",
]  # fmt: skip

Missing: TypeAlias = Literal["prior", "skip", "zero"]
"""What a missing opinion on an item counts as.

``prior``: the source's mean opinion on this query's other candidates. An item that the source cannot
know is neither buried nor promoted by it, whatever the calibrator: the best guess about an item of
which nothing is known is the average one. An average item never enters a list of the best, though, so
that nothing would ever be learnt of a new one: ``optimism`` (of ``weighted``) lifts its prior.

``skip``: the item is scored by the other sources alone, their weights renormalised. It competes by
what is known of it, without being drawn to the average; so an item that one keen source knows stands
above those that many agree on.

``zero``: nothing is added. Under ``zscore`` that is the mean, so the same as ``prior``; under
``minmax`` and ``rank`` it is the worst that the source could say, which buries items that it cannot
know; under ``quantile`` it is the source's median over all users.
"""


@dataclass(frozen=True, slots=True)
class Opinions:
    """What p sources think of B x M items, and what else is known of these."""

    sources: Sequence[str]
    """Their p names."""
    calibrated: Floats
    """float32[p, B, M], NaN = no opinion."""
    weights: Floats
    """float32[p, B], adding up to 1 over the live sources of each query (0 for the others)."""
    present: Bools
    """bool[B, M]: false where the row is padded."""
    ranks: Ints
    """int32[p, B, M]: 1-based place in the source's own candidates, 0 = not proposed by it."""
    popularity: Floats
    """float32[B, M]: the items' popularity, see :class:`~cuvee.ranking.facts.ItemFacts`."""
    age: Floats
    """float32[B, M]: likewise."""
    untouched: Bools
    """bool[B, M]: likewise; which items have no events, so that nobody could have learnt an opinion."""

    @classmethod
    def bare(cls, calibrated: Floats, weights: Floats, present: Bools) -> Opinions:
        """Opinions alone: nobody proposed anything, and the items are all alike."""
        alike = np.zeros(present.shape, np.float32)
        names = [str(s) for s in range(len(calibrated))]
        ranks, touched = np.zeros(calibrated.shape, np.int32), np.zeros(present.shape, np.bool_)
        return cls(names, calibrated, weights, present, ranks, alike, alike, touched)

    def select(self, rows: Offsets) -> Opinions:
        """Those on the given queries, in the given order."""
        return Opinions(
            self.sources,
            self.calibrated[:, rows],
            self.weights[:, rows],
            self.present[rows],
            self.ranks[:, rows],
            self.popularity[rows],
            self.age[rows],
            self.untouched[rows],
        )


@dataclass(frozen=True, slots=True)
class Lesson:
    """Opinions for which the right items are known: what a blender learns from."""

    opinions: Opinions
    shares: Floats
    """float32[S, B]: how far each query belongs to each segment; columns add up to 1."""
    relevant: Bools
    """bool[B, M]: which items are right."""
    importance: Times
    """float64[B]: how much each query counts."""

    def select(self, rows: Offsets) -> Lesson:
        """The given queries, in the given order."""
        return Lesson(self.opinions.select(rows), self.shares[:, rows], self.relevant[rows], self.importance[rows])


class BlenderOptions(BaseModel):
    """Parent of a blender's ``Options``: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Blender(ABC):
    """Turns opinions into contributions. Immutable."""

    Options: ClassVar[type[BlenderOptions]] = BlenderOptions
    """The table ``[blend.options]``."""
    ranks_only: ClassVar[bool] = False
    """Whether only the order of calibrated values counts, so that the values need not be shown."""
    learns: ClassVar[bool] = False
    """Whether the blender has something to learn, by :meth:`learn`."""

    def __init__(self, options: BlenderOptions, missing: Missing) -> None:
        self.options = options
        self.missing = missing

    @property
    def reads_items(self) -> bool:
        """Whether it uses the items' popularity, their age, and whether they have events."""
        return True

    @property
    def linear(self) -> bool:
        """Whether a contribution is the weight times something that no weight changes.

        Tuning then needs to blend only once, and multiplies.
        """
        return False

    @classmethod
    def learn(cls, lessons: Sequence[Lesson], calibrate: str) -> dict[str, Any]:
        """Options, learnt from lessons over the scores of a calibrator, by its name. Weights are learnt apart.

        What was learnt is under ``learnt``, as plain values: ``cuvee tune`` writes it to a file beside the
        product's, and names that in the option ``model``. No lessons give what stands for nothing learnt.
        """
        return {}

    @abstractmethod
    def contributions(self, opinions: Opinions) -> Floats:
        """float32[p, B, M], finite; 0 on padding."""


def live_weights(weights: Floats, live: Bools) -> Floats:
    """Renormalise float32[p, B] weights over the live sources of each query.

    Where every live source has weight 0 they share equally, so that an answer never depends on a
    source that is not there. All zeros where none is live.
    """
    kept = np.where(live, weights, 0)
    kept = np.where(kept.sum(axis=0) > 0, kept, live)
    total = kept.sum(axis=0)
    return (kept / np.where(total > 0, total, 1)).astype(np.float32)


def with_prior(calibrated: Floats, known: Bools) -> tuple[Floats, Floats]:
    """Fill what a source does not know with its mean opinion on the query's other items.

    Returns float32[p, B, M] without NaN, and the means float32[p, B, 1], 0 where all is unknown.
    """
    values = np.where(known, calibrated, np.float32(0))
    count = np.maximum(known.sum(axis=2, keepdims=True), 1)
    mean = (values.sum(axis=2, keepdims=True, dtype=np.float64) / count).astype(np.float32)
    return np.where(known, values, mean), mean


class WeightedOptions(BlenderOptions):
    """``optimism``: what a missing opinion on an item that nobody had to do with yet counts as.

    In standard deviations of the source's opinions on the query's other candidates, above their mean.
    A source that has no opinion on an item with events says something by that (none of this user's
    neighbours wanted it); of a new item it cannot. `cuvee tune --new-items` learns how much may be hoped
    of these. Source: optimistic initial values, Sutton and Barto, "Reinforcement Learning", ch. 2.
    """

    optimism: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def _above_a_prior(self, info: ValidationInfo) -> WeightedOptions:
        if self.optimism and (info.context or {}).get("missing", "prior") != "prior":
            raise ValueError('optimism lifts the prior, so it needs missing = "prior"; set that, or leave it out')
        return self


class WeightedSum(Blender):
    """The weighted sum of calibrated opinions (linear combination, CombSUM with weights).

    Source: Fox and Shaw, "Combination of Multiple Searches", TREC-2, 1994.
    """

    Options: ClassVar[type[BlenderOptions]] = WeightedOptions

    @property
    def _optimism(self) -> float:
        return self.options.optimism if isinstance(self.options, WeightedOptions) else 0.0

    @property
    def reads_items(self) -> bool:
        """Only where it is optimistic about items without events."""
        return self._optimism > 0

    @property
    def linear(self) -> bool:
        """For all policies but ``skip``, under which a weight depends on which sources have an opinion."""
        return self.missing != "skip"

    def contributions(self, opinions: Opinions) -> Floats:
        """Weight x calibrated, the missing ones by the policy."""
        if self.missing == "prior":
            untouched = opinions.untouched if self._optimism else None
            return kernels.with_prior(
                opinions.calibrated, opinions.weights, opinions.present, untouched, self._optimism
            )
        known = ~np.isnan(opinions.calibrated) & opinions.present
        weights: Floats = opinions.weights[:, :, None]
        if self.missing == "skip":
            share = np.where(known, weights, np.float32(0))
            total = share.sum(axis=0)
            weights = np.divide(share, total, where=total > 0, out=np.zeros_like(share))
        values = np.where(known, opinions.calibrated, np.float32(0))
        blended: Floats = np.where(opinions.present, weights * values, 0).astype(np.float32)
        return blended


class RrfOptions(BlenderOptions):
    """``k``: how slowly the value of a rank falls."""

    k: float = Field(default=60.0, gt=0, allow_inf_nan=False)


class ReciprocalRankFusion(Blender):
    """weight / (k + rank), rank being the item's place among the source's own opinions.

    Equal opinions share the better place. A missing opinion adds nothing, whatever the policy:
    it has no rank. Source: Cormack, Clarke and Buettcher, SIGIR 2009 (k = 60 there).
    """

    Options = RrfOptions
    ranks_only = True
    linear = True
    reads_items = False

    def contributions(self, opinions: Opinions) -> Floats:
        """Ranks are found per source and row."""
        if not isinstance(self.options, RrfOptions):
            raise TypeError(f"expected RrfOptions, got {type(self.options).__name__}")
        p, b, m = opinions.calibrated.shape
        known = ~np.isnan(opinions.calibrated) & opinions.present
        higher, _ = places(np.where(known, opinions.calibrated, np.float32(np.nan)).reshape(p * b, m))
        ranks = higher + 1
        worth = opinions.weights[:, :, None] / (self.options.k + ranks.reshape(p, b, m))
        fused: Floats = np.where(known, worth, 0).astype(np.float32)
        return fused
