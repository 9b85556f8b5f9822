"""TfServing keeps the contract, asked over the wire.

The model is made by the fixtures (vectors by factorisation), not trained: what a trained one is
worth is the training's own business.
"""

import pytest
from cuvee.testing import TOYS, RecommenderContract
from cuvee.testing.trial import Trial
from cuvee_tfserving import TfServing


class Served(RecommenderContract):
    """The contract, with the address of the tests' server in every config."""

    recommender = TfServing

    @pytest.fixture(scope="class")
    @classmethod
    def trial(cls, request, shared, tmp_path_factory):
        running, root = shared
        settings = {"address": running.address, "model_root": str(root), "train": False, "max_history": 8}
        trial = Trial(cls.recommender, {**settings, **request.param}, TOYS[cls.toy](), tmp_path_factory.mktemp("trial"))
        yield trial
        trial.close()


class TestVectors(Served):
    configs = ({"model": "toy"},)


class TestScoring(Served):
    """A model with random vectors that knows only the first thirty items: it keeps the contract, no more."""

    configs = ({"model": "scoring"},)

    @pytest.mark.skip(reason="its vectors are random")
    def test_better_than_random(self, trial):
        """The toy data have no right answer for this model."""
