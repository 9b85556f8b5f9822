"""Neighbors keeps the contract, in each of its models."""

from cuvee.testing import RecommenderContract
from cuvee_neighbors import Neighbors


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
    )


class TestTransitions(RecommenderContract):
    recommender = Neighbors
    configs = ({"model": "transitions"}, {"model": "transitions", "window": 1, "power": 1, "neighbours": 3})
    toy = "chain"


class TestOnCheckerboard(RecommenderContract):
    recommender = Neighbors
    configs = ({"l2": 5}, {"model": "item_knn"}, {"model": "user_knn"})
    toy = "checkerboard"
