"""Recommenders that break what is promised of candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cuvee import Candidates, Ragged

from ..reference import Together
from .mutants import breaks


class Proposes(Together):
    def changed(self, items, scores):
        raise NotImplementedError

    def candidates(self, queries, k):
        proposed = super().candidates(queries, k)
        return Candidates(*self.changed(proposed.items.copy(), proposed.scores.copy()))


FORM = "candidates_keep_their_form"


@breaks(FORM, "candidates_leave_out_the_ineligible")
class ProposesTwice(Proposes):
    def changed(self, items, scores):
        return np.hstack([items[:, :1], items[:, :-1]]), np.hstack([scores[:, :1], scores[:, :-1]])


@breaks(FORM)
class ProposesTheBestLast(Proposes):
    def changed(self, items, scores):
        full = (items >= 0).all(axis=1)
        items[full], scores[full] = items[full, ::-1], scores[full, ::-1]
        return items, scores


@breaks(FORM, "candidates_leave_out_the_ineligible", "no_queries")
class ProposesLongPositions(Proposes):
    def changed(self, items, scores):
        return items.astype(np.int64), scores


@breaks(FORM, "candidates_leave_out_the_ineligible")
class PadsAtTheStart(Proposes):
    def changed(self, items, scores):
        return items[:, ::-1], np.where(items >= 0, -scores, scores)[:, ::-1]


@breaks(FORM, "candidates_leave_out_the_ineligible")
class ScoresItsPads(Proposes):
    def changed(self, items, scores):
        return items, np.where(items >= 0, scores, np.float32(-1e9))


@breaks(FORM, "no_queries")
class ProposesTooMany(Together):
    def candidates(self, queries, k):
        return super().candidates(queries, k + 1)


@breaks(FORM, and_more=True)
class ProposesWhatDoesNotExist(Proposes):
    def changed(self, items, scores):
        return np.where(items >= 0, items + np.int32(1000), items), scores


@breaks("candidates_leave_out_the_excluded", "better_than_random")
class ProposesTheExcluded(Together):
    def candidates(self, queries, k):
        return super().candidates(replace(queries, excluded=Ragged.of([[]] * len(queries))), k)


@breaks("candidates_leave_out_the_excluded")
class ScoresTheExcludedDown(Together):
    def score(self, queries, items):
        scores = super().score(queries, items)
        for b in range(len(queries)):
            scores[b, np.isin(items[b], queries.excluded.row(b))] *= 0.5
        return scores


@breaks("candidates_leave_out_the_ineligible")
class ProposesTheIneligible(Together):
    def candidates(self, queries, k):
        return super().candidates(replace(queries, eligible=None), k)
