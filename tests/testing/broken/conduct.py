"""Recommenders that break what is promised of calls, explanations, vectors and closing."""

from __future__ import annotations

import time

import numpy as np
from cuvee import Candidates

from ..reference import Together
from .mutants import breaks

# How it is called


@breaks("inputs_stay_untouched")
class WritesToHistories(Together):
    def all_scores(self, queries):
        np.maximum(queries.histories.weights, 0, out=queries.histories.weights)
        return super().all_scores(queries)


@breaks("inputs_stay_untouched")
class SortsUsersInPlace(Together):
    def candidates(self, queries, k):
        queries.users.flags.writeable = True
        queries.users.sort()
        return super().candidates(queries, k)


@breaks("inputs_stay_untouched")
class WritesToTheData(Together):
    @classmethod
    def fit(cls, data, config, progress):
        np.minimum(data.events.weights, 1, out=data.events.weights)
        return super().fit(data, config, progress)


@breaks("threads_equal_serial")
class KeepsScratch(Together):
    def all_scores(self, queries):
        self.queries = queries
        time.sleep(1e-4)
        scores = super().all_scores(self.queries)
        return scores if len(scores) == len(queries) else super().all_scores(queries) + np.float32(1)


@breaks("better_than_random")
class ScoresByName(Together):
    def all_scores(self, queries):
        scores = super().all_scores(queries)
        names = np.random.default_rng(5).permutation(len(self.pairs)).astype(np.float32)
        return np.where(np.isnan(scores), scores, names)


@breaks("better_than_random")
class ProposesTheWorst(Together):
    def candidates(self, queries, k):
        return Candidates.top(-self.all_scores(queries), k, queries)


# The rest


@breaks("item_vectors_are_of_the_catalogue")
class VectorsOfNobody(Together):
    def item_vectors(self):
        return np.ones((len(self.pairs) + 100, 2), np.float32)


@breaks("item_vectors_are_of_the_catalogue")
class VectorsInDoubles(Together):
    def item_vectors(self):
        return np.ones((len(self.pairs), 2))


@breaks("item_vectors_are_of_the_catalogue")
class VectorsWithGaps(Together):
    def item_vectors(self):
        return np.full((len(self.pairs), 2), np.nan, np.float32)


@breaks("item_vectors_are_of_the_catalogue")
class VectorsForgotten(Together):
    def item_vectors(self):
        return np.ones((len(self.pairs), 2), np.float32) if self.pairs.flags.writeable else None


@breaks("updated_is_a_model_like_any")
class UpdatesItself(Together):
    def updated(self, activity):
        self.pairs = self.pairs + np.float32(1)
        return self


@breaks("updated_is_a_model_like_any")
class UpdatesUponUpdates(Together):
    def updated(self, activity):
        return type(self)(self.pairs + np.float32(len(activity)))


@breaks("updated_is_a_model_like_any")
class UpdatesToInfinity(Together):
    def updated(self, activity):
        return type(self)(np.full_like(self.pairs, np.inf))

    def candidates(self, queries, k):
        return Candidates.empty(len(queries))


@breaks("updated_is_a_model_like_any")
class UpdatesToNothing(Together):
    def updated(self, activity):
        return None


@breaks("explains_in_a_few_words")
class Rambles(Together):
    def explain(self, queries, rows, items):
        return ["because " * 100] * len(items)


@breaks("explains_in_a_few_words")
class CannotExplainNewItems(Together):
    def explain(self, queries, rows, items):
        return [f"{self.pairs[item].sum():.0f} others" for item in items]


@breaks("explains_in_a_few_words")
class ExplainsTheFirstAlone(Together):
    def explain(self, queries, rows, items):
        return ["seen together"]


@breaks("explains_in_a_few_words")
class ExplainsTheFirstRow(Together):
    def explain(self, queries, rows, items):
        return [f"of {len(queries.histories.row(0))} events" for _ in items]


@breaks("explains_in_a_few_words")
class ExplainsByRank(Together):
    def explain(self, queries, rows, items):
        return [f"number {rank}" for rank in range(len(items))]


@breaks("health_is_a_quick_yes_or_no")
class HealthIsAWord(Together):
    def health(self):
        return "fine"


@breaks("health_is_a_quick_yes_or_no")
class HealthAsksAServer(Together):
    def health(self):
        time.sleep(0.03)
        return True


@breaks("closes_twice")
class ClosesOnce(Together):
    def close(self):
        del self.pairs


@breaks("closes_twice")
class ClosesForAll(Together):
    closed = False

    def close(self):
        type(self).closed = True

    def all_scores(self, queries):
        if self.closed:
            raise RuntimeError("closed")
        return super().all_scores(queries)
