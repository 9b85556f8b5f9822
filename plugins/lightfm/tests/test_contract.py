"""LightFM keeps the contract, with each loss, with features and without."""

from cuvee.testing import RecommenderContract
from cuvee_lightfm import LightFMRecommender


class TestLightFM(RecommenderContract):
    recommender = LightFMRecommender
    configs = (
        {},
        {"components": 8, "user_features": (), "item_features": (), "half_life": "none"},
        {"loss": "bpr", "components": 16, "fold_in": "newer"},
        {"loss": "logistic", "components": 16, "item_features": ("genres",), "recency": 1},
        {"loss": "warp-kos", "components": 16, "item_alpha": 1e-5, "user_alpha": 1e-5},
        {"components": 8, "index_above": 0},
    )


class TestOnCheckerboard(RecommenderContract):
    recommender = LightFMRecommender
    configs = ({"components": 8}, {"components": 8, "user_features": (), "item_features": (), "index_above": 0})
    toy = "checkerboard"
