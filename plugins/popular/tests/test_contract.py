"""Popular keeps the contract, in each of its configs."""

from cuvee.testing import RecommenderContract
from cuvee_popular import Popular


class TestPopular(RecommenderContract):
    recommender = Popular
    configs = (
        {},
        {"half_life": "none", "segments": ()},
        {"half_life": 30, "trending": 0.5, "window": 30, "segments": ("occupation",), "words": {"occupation": "{}s"}},
    )
