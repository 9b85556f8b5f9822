"""A recommender in another process keeps the contract as one in this process does, asked over the wire."""

import pytest
from cuvee.testing import TOYS, RecommenderContract
from cuvee.testing.trial import Trial
from cuvee_remote import Remote

from .conftest import Process, free_address

pytest.importorskip("cuvee_lightfm")


class Elsewhere(RecommenderContract):
    """The contract, with the address of a process that serves ``component`` in every config."""

    recommender = Remote

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, processes, tmp_path_factory):
        return processes(cls.component, tmp_path_factory.mktemp("models"))

    @pytest.fixture(scope="class")
    @classmethod
    def trial(cls, request, other, tmp_path_factory):
        settings = {"address": other.address, "deadline": 30, "start_wait": 60, **request.param}
        trial = Trial(cls.recommender, settings, TOYS[cls.toy](), tmp_path_factory.mktemp("trial"))
        yield trial
        trial.close()
        other.end()


class TestPython(Elsewhere):
    """LightFM, since it serves every kind of query, and knows users by id: all that can cross the wire does."""

    component = "cuvee_lightfm.recommender:LightFMRecommender"
    configs = ({"options": {"epochs": 10, "threads": 1}},)


class TestNode(Elsewhere):
    """What is taken together, in JavaScript: nothing of ours there but the proto."""

    configs = ({"options": {"neighbours": 20}},)

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, node):
        other = Process(node, free_address())
        yield other
        other.end()
