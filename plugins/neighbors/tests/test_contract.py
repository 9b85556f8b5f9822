"""Neighbors keeps the contract, in each of its models."""

import pytest
from cuvee.testing import RecommenderContract
from cuvee_neighbors import Neighbors, item_weights, user_knn


class TestNeighbors(RecommenderContract):
    recommender = Neighbors
    configs = (
        {},
        {"model": "ease", "half_life": "none", "l2": 5},
        {"model": "item_knn"},
        {"model": "item_knn", "similarity": "jaccard", "shrink": 0, "neighbours": 10},
        {"model": "user_knn"},
        {"model": "user_knn", "similarity": "jaccard", "shrink": 1, "neighbours": 5, "half_life": 10},
        {"model": "item_knn", "vectors_of": "another", "neighbours": 10},
        {"model": "user_knn", "vectors_of": "another", "neighbours": 10},
        {"exact_items": 0, "rank": 8, "neighbours": 50},
        {"model": "item_knn", "spoken_for": 5},
    )


class TestLarge(RecommenderContract):
    """The same contract with the settings for large catalogues, whatever the size."""

    recommender = Neighbors
    configs = (
        {"exact_items": 0, "rank": 8},
        {"model": "item_knn"},
        {"model": "user_knn"},
        {"model": "transitions"},
        {"model": "item_knn", "vectors_of": "another", "neighbours": 10},
        {"model": "user_knn", "vectors_of": "another", "neighbours": 10},
    )

    @pytest.fixture(autouse=True)
    def _all_are_large(self, monkeypatch):
        for module in (item_weights, user_knn):
            monkeypatch.setattr(module, "LARGE", 0)


class TestTransitions(RecommenderContract):
    recommender = Neighbors
    configs = ({"model": "transitions"}, {"model": "transitions", "window": 1, "power": 1, "neighbours": 3})
    toy = "chain"


class TestOnCheckerboard(RecommenderContract):
    recommender = Neighbors
    configs = ({"l2": 5}, {"model": "item_knn"}, {"model": "user_knn"})
    toy = "checkerboard"
