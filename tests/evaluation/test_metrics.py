"""The metrics against pytrec_eval, an independent implementation, and by hand."""

from typing import Any

import numpy as np
import pytest
import pytrec_eval
from cuvee.evaluation import metrics
from cuvee.ranking.rows import padded
from cuvee.recommender import Ragged
from hypothesis import given
from hypothesis import strategies as st

K = 10
lists = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=15), min_size=3, max_size=3)
relevants = st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=20), min_size=3, max_size=3)


@given(shown=lists, relevant=relevants)
def test_equal_to_an_independent_library(shown: list[list[int]], relevant: list[set[int]]) -> None:
    held = Ragged.of([sorted(r) for r in relevant])
    found = metrics.hits(padded(Ragged.of(shown)), held)
    n = held.lengths
    judged = {str(u): {str(i): 1 for i in items} for u, items in enumerate(relevant)}
    run = {str(u): {str(i): float(len(items) - at) for at, i in enumerate(items)} for u, items in enumerate(shown)}
    names = {f"ndcg_cut.{K}", f"P.{K}", f"recall.{K}", f"success.{K}", f"map_cut.{K}", "recip_rank"}
    oracle = pytrec_eval.RelevanceEvaluator(judged, names).evaluate(run)

    def theirs(name: str) -> Any:
        return [oracle[str(u)][name] if str(u) in oracle else 0.0 for u in range(len(shown))]

    np.testing.assert_allclose(metrics.ndcg(found, K, n), theirs(f"ndcg_cut_{K}"), atol=1e-6)
    np.testing.assert_allclose(metrics.precision(found, K), theirs(f"P_{K}"), atol=1e-6)
    np.testing.assert_allclose(metrics.recall(found, K, n), theirs(f"recall_{K}"), atol=1e-6)
    np.testing.assert_allclose(metrics.hit_rate(found, K), theirs(f"success_{K}"), atol=1e-6)
    np.testing.assert_allclose(metrics.average_precision(found, K, n), theirs(f"map_cut_{K}"), atol=1e-6)
    np.testing.assert_allclose(metrics.reciprocal_rank(found, 15), theirs("recip_rank"), atol=1e-6)


def test_ndcg_with_the_ideal_over_all_relevant_items() -> None:
    found = metrics.hits(np.array([[0, 1]], np.int32), Ragged.of([[0, 1, 2, 3]]))
    n = np.array([4])
    gained = 1 + 1 / np.log2(3)
    assert metrics.ndcg(found, 2, n)[0] == pytest.approx(1.0)
    assert metrics.ndcg(found, 2, n, ideal_over_all=True)[0] == pytest.approx(gained / (gained + 0.5 + 1 / np.log2(5)))


def test_padding_is_never_a_hit() -> None:
    shown = np.array([[3, -1], [3, 4]], np.int32)
    assert metrics.hits(shown, Ragged.of([[4], [3, 4]])).tolist() == [[False, False], [True, True]]


@given(shown=lists, relevant=relevants)
def test_every_metric_lies_between_nothing_and_all_and_ideal_lists_have_all(
    shown: list[list[int]], relevant: list[set[int]]
) -> None:
    held = Ragged.of([sorted(r) for r in relevant])
    n = held.lengths
    for made in (padded(Ragged.of(shown)), padded(held)):
        found = metrics.hits(made, held)
        per_user = [
            metrics.hit_rate(found, K),
            metrics.precision(found, K),
            metrics.recall(found, K, n),
            metrics.ndcg(found, K, n),
            metrics.average_precision(found, K, n),
            metrics.reciprocal_rank(found, K),
        ]
        assert all(((values >= 0) & (values <= 1 + 1e-12)).all() for values in per_user)
    np.testing.assert_allclose(metrics.ndcg(found, K, n), 1)
    np.testing.assert_allclose(metrics.reciprocal_rank(found, K), 1)
