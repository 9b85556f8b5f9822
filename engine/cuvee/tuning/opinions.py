"""Opinions: the scores that every source gives to the candidates of every case.

They are gathered once, by the pipeline step that also serves, kept as float32, and then combined under
many weights: 6,000 cases of 600 candidates and 7 sources take 100 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.evaluation.cases import Cases
from cuvee.ranking.ask import Directly
from cuvee.ranking.blend import Blender, Opinions
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.gather import gather
from cuvee.ranking.known_users import profile_of
from cuvee.ranking.plan import Plan, Question
from cuvee.recommender import Bools, Floats, Ints, Offsets, Progress, Queries
from cuvee.rules import Seen
from cuvee.tuning.objective import Block

__all__ = [
    "Judged", "Standing", "gather_opinions", "opinions_of", "question_of", "select", "sources_of", "to_block",
]  # fmt: skip

BATCH = 256
"""How many cases are scored, and later blended, at once."""


@dataclass(frozen=True)
class Judged:
    """The scores of p sources for the M candidates of some cases, and which candidates are right."""

    cases: Offsets
    """int64[b]: which cases."""
    items: Ints
    """int32[b, M]: the candidates, rising, -1 pads."""
    raw: Floats
    """float32[p, b, M]: the scores, NaN = no opinion."""
    ranks: Ints
    """int32[p, b, M]: 1-based place in the source's own candidates, 0 = not proposed by it."""
    lengths: Offsets
    """int64[b]: liked events in the history."""
    served: Bools
    """bool[p, b]: whether the source serves such a query; it may still have no opinion."""
    relevant: Bools
    """bool[b, M]: whether a candidate was held out."""
    n_relevant: Offsets
    """int64[b]: how many were held out, found among the candidates or not."""


def in_fold_batches(cases: Cases, folds: Ints) -> Iterator[Offsets]:
    """int64[at most BATCH] case numbers: of one fold each, by the length of the history."""
    lengths = cases.histories.liked
    order = np.lexsort((lengths, folds))
    for fold in np.unique(folds):
        mine = order[folds[order] == fold]
        for start in range(0, len(mine), BATCH):
            yield mine[start : start + BATCH]


def question_of(cases: Cases, catalog: Catalog, now: float, history: int, k: int) -> Question:
    """Ask for k items for each case: ``now`` is seconds since the epoch, ``history`` how many events sources get."""
    profiles = [profile_of(catalog, int(person)) for person in cases.people]
    users = np.where(cases.cut, np.int32(-1), cases.people)
    queries = Queries.build(cases.histories.last(history), users, profiles, now)
    return Question(queries, Seen.imported(cases.histories), k)


def gather_opinions(
    plan: Plan, catalog: Catalog, cases: Cases, folds: Ints, now: float, history: int, progress: Progress
) -> list[Judged]:
    """Get every source's opinion on every case, as if all had a weight.

    ``folds`` (int32[B]) keeps cases of different folds in different batches; ``now`` is the time of
    the questions (seconds since the epoch), ``history`` how many of the newest events sources get.

    Raises whatever a source raises: offline, a failure must not be hidden by a degraded answer.
    """
    asked = replace(plan.without_filling(), weights={})
    found: list[Judged] = []
    n = len(catalog.items)

    done = 0
    with Directly() as ask:
        for rows in in_fold_batches(cases, folds):
            batch = cases.select(rows)
            question = question_of(batch, catalog, now, history, plan.max_candidates)
            heard = gather(asked, question, ask)
            failed = next((r.failure for r in heard.reports if r.failure), None)
            if failed is not None:
                raise failed
            keys = np.arange(len(rows))[:, None] * np.int64(n) + heard.items
            right = np.isin(keys, batch.held_out.rows * n + batch.held_out.items) & (heard.items >= 0)
            found.append(
                Judged(
                    rows,
                    heard.items,
                    heard.raw,
                    heard.ranks,
                    heard.lengths,
                    heard.served,
                    right,
                    batch.held_out.lengths,
                )
            )
            done += len(rows)
            progress(done, len(cases))
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """The shares and weights of a batch's cases in the segments: float32[S, b] each, see :class:`Block`."""

    shares: Floats
    counts: Floats

    def select(self, rows: Offsets) -> Standing:
        """The given cases."""
        return Standing(self.shares[:, rows], self.counts[:, rows])


def select(judged: Judged, rows: Offsets) -> Judged:
    """The given rows of a batch, without columns that are padding in all of them."""
    items = judged.items[rows]
    width = int((items >= 0).sum(axis=1).max(initial=0))
    return Judged(
        judged.cases[rows],
        items[:, :width],
        judged.raw[:, rows, :width],
        judged.ranks[:, rows, :width],
        judged.lengths[rows],
        judged.served[:, rows],
        judged.relevant[rows, :width],
        judged.n_relevant[rows],
    )


def opinions_of(judged: Judged, plan: Plan, calibrators: Mapping[str, Calibrator]) -> Opinions:
    """The input of a blender for a batch, with all weights 1."""
    calibrated = np.stack([calibrators[s.name].calibrate(judged.raw[i]) for i, s in enumerate(plan.sources)])
    ones = np.ones(calibrated.shape[:2], np.float32)
    return plan.opinions(calibrated, ones, judged.items, judged.ranks)


def to_block(
    judged: Judged, plan: Plan, blender: Blender, calibrators: Mapping[str, Calibrator], standing: Standing
) -> Block:
    """A batch prepared for a blender.

    Cases without a right item among the candidates are left out: no weights change their metric.
    """
    kept = np.flatnonzero(judged.relevant.any(axis=1))
    judged, standing = select(judged, kept), standing.select(kept)
    opinions = opinions_of(judged, plan, calibrators)
    basis = blender.contributions(opinions) if blender.linear else None

    def scores(weights: Floats) -> Floats:
        summed: Floats = blender.contributions(replace(opinions, weights=weights)).sum(axis=0)
        return summed

    rows, columns = np.nonzero(judged.relevant)
    return Block(
        cases=judged.cases,
        shares=standing.shares,
        counts=standing.counts,
        live=np.asarray((~np.isnan(judged.raw)).any(axis=2)),
        basis=basis,
        scores=None if blender.linear else scores,
        absent=judged.items < 0,
        proposed=judged.ranks > 0,
        right=(rows.astype(np.int64), columns.astype(np.int64)),
        n_relevant=judged.n_relevant,
    )


def sources_of(judged: Sequence[Judged], standings: Sequence[Standing]) -> tuple[Bools, Bools]:
    """bool[p, S] each: which sources have an opinion on any case of a segment, and which serve any."""
    heard = [(~np.isnan(j.raw)).any(axis=2) @ (s.counts > 0).T for j, s in zip(judged, standings, strict=True)]
    served = [j.served @ (s.counts > 0).T for j, s in zip(judged, standings, strict=True)]
    return np.asarray(np.any(heard, axis=0)), np.asarray(np.any(served, axis=0))
