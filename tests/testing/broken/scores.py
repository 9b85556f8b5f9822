"""Recommenders that break what is promised of scores and of `serves`."""

from __future__ import annotations

import numpy as np
from cuvee import Serves

from ..reference import Newest, Together
from .mutants import breaks

ALL = Newest.serves

# Shapes and values


@breaks("score_has_the_shape_of_items")
class ScoresInDouble(Together):
    def score(self, queries, items):
        return super().score(queries, items).astype(np.float64)


@breaks("score_has_the_shape_of_items", and_more=True)
class ScoresTransposed(Together):
    def score(self, queries, items):
        return super().score(queries, items).T


@breaks("scores_are_finite_or_nan")
class ScoresInfinity(Together):
    def score(self, queries, items):
        scores = super().score(queries, items)
        return np.where(scores == 0, np.float32(-np.inf), scores)


@breaks("padding_scores_nan")
class WrapsAround(Together):
    def score(self, queries, items):
        return super().score(queries, np.where(items < 0, len(self.pairs) - 1, items))


@breaks("no_items")
class NeedsAnItem(Together):
    def score(self, queries, items):
        if len(items):
            items.max()
        return super().score(queries, items)


@breaks("no_queries")
class NeedsAQuery(Together):
    def score(self, queries, items):
        return np.vstack([super(NeedsAQuery, self).score(queries.select([b]), items[[b]]) for b in range(len(queries))])


# Pointwise


@breaks("order_of_items_does_not_matter", "other_items_do_not_matter")
class ScoresByPlace(Together):
    def score(self, queries, items):
        return super().score(queries, items) + np.linspace(0, 0.01, items.shape[1], dtype=np.float32)


@breaks("padding_scores_nan", "other_items_do_not_matter")
class Softmax(Together):
    def score(self, queries, items):
        powers = np.exp(super().score(queries, items))
        return powers / np.nansum(powers, axis=1, keepdims=True)


@breaks("a_batch_equals_batches_of_one")
class ScalesByTheBatch(Together):
    def all_scores(self, queries):
        scores = super().all_scores(queries)
        return scores / np.float32(1 + len(queries))


# What it serves


@breaks("serves_what_it_claims")
class ClaimsColdUsers(Together):
    serves = Serves.SESSION | Serves.COLD_USER


@breaks("serves_what_it_claims", "serves_nothing_else", "better_than_random")
class ClaimsOthersThanItServes(Together):
    serves = Serves.COLD_USER


@breaks("serves_what_it_claims", "better_than_random", "serves_nothing_else")
class ClaimsNothing(Together):
    serves = Serves(0)


@breaks("serves_what_it_claims")
class WidensWhatItServes(Together):
    def __init__(self, pairs):
        super().__init__(pairs)
        self.serves = Serves.SESSION | Serves.KNOWN_USER


@breaks("serves_nothing_else")
class ServesMoreThanItClaims(Newest):
    serves = ALL & ~Serves.COLD_USER


@breaks("new_items")
class ClaimsNewItems(Together):
    serves = Serves.SESSION | Serves.COLD_ITEM


@breaks("new_items")
class HasNewItemsUnclaimed(Newest):
    serves = ALL & ~Serves.COLD_ITEM


@breaks("new_items", and_more=True)
class StumblesOverNewItems(Together):
    def score(self, queries, items):
        return np.where(items < 0, np.float32(np.nan), np.take_along_axis(self.all_scores(queries), items, axis=1))
