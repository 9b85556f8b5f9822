"""The decision: the learnt weights where they are better, else the best member alone, and more segments if needed.

Weights change linearly, over log(1 + events), from the beginning of one segment to that of the next.
Where the best source changes abruptly (on MovieLens 1M popularity is best after five likes, and far behind
after eight), no linear change suits the middle of a segment. So the blend is compared with the best member
at every length of history of the new users, and a segment in which it falls behind is split there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.training.fit import ProgressFor
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.crossfit import CrossFit, weighted_mean
from cuvee.tuning.fitting import BlendFit, fit_blend
from cuvee.tuning.objective import PerCase, Weights

__all__ = ["LEAST_PEOPLE", "Decision", "decide"]

LEAST_PEOPLE = 50
"""A segment with fewer people keeps its weights."""
MOST_SPLITS = 3
"""How many segments are added at most."""
BEHIND = 0.01
"""Share of the best member's metric that a blend may lose at a length of history."""


@dataclass(frozen=True)
class Decision:
    """The proposed weights and segments."""

    bench: Bench
    """With the segments that were added."""
    fit: BlendFit
    members: Sequence[PerCase]
    """float64[B] per source: each case's metric by that source alone."""
    learnt: CrossFit
    """The weights learnt for each fold, in the segments where they are better."""
    table: Weights
    """float64[p, S]: the weights that are proposed."""
    alone: Sequence[bool]
    """Per segment, whether the best member stands alone."""
    kept: Sequence[bool]
    """Per segment, whether it keeps the product's own weights, since nothing is better."""
    before: PerCase
    """float64[B]: each case's metric by the product as it is."""


def decide(bench: Bench, recipe: Recipe, progress: ProgressFor, fit: BlendFit | None = None) -> Decision:
    """Fit a recipe, and split segments as long as the blend falls behind a member inside one.

    ``fit`` is the recipe's, where it was fitted already.
    """
    found = _decided(bench, fit or fit_blend(bench, recipe, progress))
    for _ in range(MOST_SPLITS):
        least = _behind(found)
        if least is None:
            break
        bench = bench.split(least)
        found = _decided(bench, fit_blend(bench, recipe, progress))
    return found


def _decided(bench: Bench, fit: BlendFit) -> Decision:
    """Per segment the learnt weights, the best member alone, or what the product has: whichever is best."""
    members = bench.members(fit.recipe, fit.objective)
    after = fit.cross.values()
    same = fit.recipe == bench.own
    before = (fit.objective if same else bench.objective(bench.own)).values(bench.table())
    learnt, table, alone, kept = fit.cross, fit.table.copy(), [], []
    for segment, share in enumerate(bench.share):
        of_members = [weighted_mean(values, share) for values in members]
        best = int(np.argmax(of_members))
        few = bench.people(share) < LEAST_PEOPLE
        of_learnt, of_own = weighted_mean(after, share), weighted_mean(before, share)
        # weights have another meaning under another recipe, so they can only be kept under their own
        kept.append(few or (same and of_own >= max(of_learnt, of_members[best])))
        alone.append(not kept[-1] and of_members[best] > of_learnt)
        if kept[-1] or alone[-1]:
            table[:, segment] = bench.table()[:, segment] if kept[-1] else bench.alone(best)[:, segment]
            learnt = learnt.replaced(segment, table[:, segment])
    return Decision(bench, fit, members, learnt, table, alone, kept, before)


def _behind(found: Decision) -> int | None:
    """The length of history, inside a segment, at which the blend is furthest behind a member, if it is anywhere.

    Further than :data:`BEHIND`, and by more than chance allows.
    """
    bench, values = found.bench, found.learnt.values()
    lengths, counted = bench.lengths, bench.counted
    starts = [start for _, start in bench.plan.segments]
    worst, where = -BEHIND, None
    for length in np.unique(lengths[lengths < starts[-1]]).tolist():
        share = np.where(lengths == length, counted, 0.0)
        if length in starts or bench.people(share) < LEAST_PEOPLE:
            continue
        best = max(found.members, key=lambda of: weighted_mean(of, share))
        against = bench.compare(values, best, share, 2000)
        if against.difference.high < 0 and against.uplift.mean < worst:
            worst, where = against.uplift.mean, int(length)
    return where
