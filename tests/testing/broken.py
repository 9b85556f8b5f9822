"""Recommenders that each break a promise of the contract, with the checks that must find it."""

from __future__ import annotations

import itertools
import json
import pickle
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cuvee import Candidates, Ragged, Recommender, RecommenderConfig, Serves
from pydantic import BaseModel, ConfigDict, field_validator

from .reference import Newest, Settings, Together

ALL = Newest.serves


@dataclass(frozen=True)
class Mutant:
    """A recommender that breaks a promise, and the checks that find it."""

    recommender: type[Recommender[Any]]
    found_by: frozenset[str]
    and_more: bool
    settings: Mapping[str, Any]


MUTANTS: dict[str, Mutant] = {}


def breaks(*checks: str, and_more: bool = False, **settings: Any) -> Callable[[type[Any]], type[Any]]:
    """Marks a recommender that must fail exactly these checks (``and_more``: these at least).

    ``test_`` is left out of the checks' names.
    """

    def enter(broken: type[Any]) -> type[Any]:
        MUTANTS[broken.__name__] = Mutant(broken, frozenset(checks), and_more, settings)
        return broken

    return enter


# The config


@breaks("config_has_defaults", shrink=1.0)
class NeedsASetting(Together):
    class Config(RecommenderConfig):
        shrink: float


@breaks("config_survives_a_round_trip", shrink=8.0)
class HalvesItsSetting(Together):
    class Config(Settings):
        @field_validator("shrink")
        @classmethod
        def halved(cls, value: float) -> float:
            return value / 2


@breaks("config_survives_a_round_trip")
class HasAConfigOfItsOwn(Together):
    class Config(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")
        shrink: float = 1.0


@breaks("config_refuses_unknown_keys")
class TakesAnyKey(Together):
    class Config(Settings):
        model_config = ConfigDict(extra="ignore")


@breaks("config_is_frozen")
class ThawedConfig(Together):
    class Config(Settings):
        model_config = ConfigDict(frozen=False)


# The life of a model


@breaks("fit_is_deterministic")
class FitsAtRandom(Together):
    counter = itertools.count()

    @classmethod
    def fit(cls, data, config, progress):
        fitted = super().fit(data, config, progress)
        noise = np.random.default_rng(next(cls.counter)).normal(0, 1e-3, fitted.pairs.shape)
        return cls((fitted.pairs + noise).astype(np.float32))


@breaks("loaded_answers_like_fitted")
class SavesHalfPrecision(Together):
    def save(self, directory):
        np.save(directory / "pairs.npy", self.pairs.astype(np.float16).astype(np.float32))


@breaks("loaded_answers_like_fitted", "serves_what_it_claims")
class ForgetsWhatItServes(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        loaded.serves = Serves.SESSION | Serves.KNOWN_USER
        return loaded


@breaks("loads_after_the_catalogue_grew")
class ScalesByTheCatalogue(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        return cls(loaded.pairs * np.float32(120 / len(catalog.items)))


@breaks("loaded_answers_like_fitted", and_more=True)
class RemembersAPath(Together):
    def save(self, directory):
        np.save(directory / "pairs.npy", self.pairs)
        (directory / "where.json").write_text(json.dumps(str(directory)))

    @classmethod
    def load(cls, directory, config, catalog):
        return super().load(Path(json.loads((directory / "where.json").read_text())), config, catalog)


@breaks("loads_after_the_catalogue_grew", and_more=True)
class WantsTheSameCatalogue(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        if len(loaded.pairs) != len(catalog.items):
            raise ValueError("another catalogue")
        return loaded


class Pickles(Together):
    def write(self, directory):
        raise NotImplementedError

    def save(self, directory):
        super().save(directory)
        self.write(directory)


@breaks("saves_no_pickle")
class PicklesUnderAnotherName(Pickles):
    def write(self, directory):
        (directory / "model.bin").write_bytes(pickle.dumps({"pairs": self.pairs}))


@breaks("saves_no_pickle")
class SavesObjects(Pickles):
    def write(self, directory):
        np.save(directory / "names.npy", np.asarray([{}, ()], dtype=object), allow_pickle=True)


@breaks("saves_no_pickle")
class PicklesInAZip(Pickles):
    def write(self, directory):
        with zipfile.ZipFile(directory / "model.zip", "w") as archive:
            archive.writestr("model/data.bin", pickle.dumps([1]))


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


# Candidates


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


@breaks("explains_in_a_few_words")
class Rambles(Together):
    def explain(self, queries, items):
        return ["because " * 100] * len(items)


@breaks("explains_in_a_few_words")
class CannotExplainNewItems(Together):
    def explain(self, queries, items):
        return [f"{self.pairs[item].sum():.0f} others" for item in items]


@breaks("explains_in_a_few_words")
class ExplainsTheFirstAlone(Together):
    def explain(self, queries, items):
        return ["seen together"]


@breaks("explains_in_a_few_words")
class ExplainsByRank(Together):
    def explain(self, queries, items):
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
