"""Content keeps the contract, in each of its configs."""

from cuvee.testing import RecommenderContract
from cuvee_content import Content


class TestContent(RecommenderContract):
    recommender = Content
    configs = (
        {},
        {"half_life": "none", "ngrams": [1, 2], "stop_words": "english", "min_df": 2},
        {"dims": 8, "weights": {"title": 2.0, "year": 0}},
        {"index_above": 0},
        {"index_above": 0, "dims": 8},
    )


class TestCheckerboard(RecommenderContract):
    """Toy data on which one category says which items a user likes."""

    recommender = Content
    toy = "checkerboard"
    configs = ({}, {"index_above": 0})


class TestChain(RecommenderContract):
    """Toy data on which a number says which items are alike."""

    recommender = Content
    toy = "chain"
    configs = ({"half_life": 1, "weights": {"step": 1.0, "title": 0.0}}, {"index_above": 0})
