import importlib.util
import sys
from pathlib import Path

from cuvee.testing import RecommenderContract

# not installed where the engine's suite runs, so it is loaded from its file
spec = importlib.util.spec_from_file_location("toyplugin", Path(__file__).with_name("toyplugin.py"))
assert spec is not None
assert spec.loader is not None
toyplugin = sys.modules.setdefault("toyplugin", importlib.util.module_from_spec(spec))
spec.loader.exec_module(toyplugin)


class TestToyPopular(RecommenderContract):
    recommender = toyplugin.ToyPopular
    configs = ({}, {"strength": 2})


class TestToyPairs(RecommenderContract):
    recommender = toyplugin.ToyPairs


class TestToyNear(RecommenderContract):
    recommender = toyplugin.ToyNear
    configs = ({"vectors_of": "another"},)
