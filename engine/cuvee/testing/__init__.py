"""What plugin authors test with: the conformance suite, and toy data whose right answers are known.

A plugin's whole test file::

    from cuvee.testing import RecommenderContract
    from my_package import MyRecommender


    class TestMine(RecommenderContract):
        recommender = MyRecommender

The suite runs under pytest, which the engine itself does not depend on: depend on
``cuvee[testing]`` where you test.
"""

from cuvee.testing.toys import TOYS, Toy, chain, checkerboard, two_tribes

try:
    import pytest as _pytest  # noqa: F401 (only asked whether it is there)
except ModuleNotFoundError as _missing:
    raise ImportError(
        "cuvee.testing needs pytest, which cuvee does not install by itself: pip install 'cuvee[testing]'"
    ) from _missing

from cuvee.testing.contract import RecommenderContract
from cuvee.testing.parts import BlenderContract, CalibratorContract, RuleContract
from cuvee.testing.readers import ReaderContract
from cuvee.testing.server import RunningServer, run_server

__all__ = [
    "TOYS", "BlenderContract", "CalibratorContract", "ReaderContract", "RecommenderContract", "RuleContract",
    "RunningServer", "Toy", "chain", "checkerboard", "run_server", "two_tribes",
]  # fmt: skip
