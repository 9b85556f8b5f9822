"""The conformance suite can fail: two right recommenders pass all of it, each broken one fails what it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cuvee import Recommender
from cuvee.testing import TOYS, RecommenderContract
from cuvee.testing.trial import Trial

from .broken import MUTANTS
from .reference import Newest, Together

# as written: some of the broken ones stay broken after the check that they fail
CHECKS = [name for kind in reversed(RecommenderContract.mro()) for name in vars(kind) if name.startswith("test_")]


class TestTogether(RecommenderContract):
    recommender = Together
    configs = ({}, {"shrink": 5})


class TestTogetherOnAChain(RecommenderContract):
    recommender = Together
    toy = "chain"


class TestTogetherOnACheckerboard(RecommenderContract):
    recommender = Together
    toy = "checkerboard"


class TestNewestAsync(RecommenderContract):
    recommender = Newest


def failures(
    recommender: type[Recommender[Any]], settings: Mapping[str, Any], directory: Path, suite: RecommenderContract
) -> dict[str, str]:
    """The checks that a recommender fails, and what each says."""
    trial = Trial(recommender, settings, TOYS[suite.toy](), directory)
    failed = {}
    for name in CHECKS:
        try:
            getattr(suite, name)(trial)
        except AssertionError as problem:
            failed[name.removeprefix("test_")] = str(problem)
    trial.close()
    return failed


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_recommender_fails_what_it_breaks(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    failed = failures(mutant.recommender, mutant.settings, tmp_path, RecommenderContract())
    assert mutant.found_by <= set(failed) if mutant.and_more else mutant.found_by == set(failed), failed


def test_every_check_is_proved_able_to_fail() -> None:
    proved = {f"test_{check}" for mutant in MUTANTS.values() for check in mutant.found_by}
    assert proved == set(CHECKS)
