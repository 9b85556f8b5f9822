"""Neighbours on another model's item vectors, small enough to know the answer."""

from dataclasses import replace

import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Queries
from cuvee_neighbors import Neighbors, NeighborsConfig
from cuvee_neighbors.on_vectors import as_known, fit_item_knn_on_vectors
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

SPEECHLESS = lambda done, total, note="": None  # noqa: E731
# items 0, 1, 4 point north, 2 and 3 east; of 5 nothing is known; 4 was liked by nobody
VECTORS = np.array([[0, 2], [0.1, 1], [3, 0], [1, 0.1], [0.2, 5], [0, 0]], np.float32)
USERS, ITEMS = [0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 1, 2]


def fit(**settings):
    catalog = Catalog(Entities.of_ids([f"i{n}" for n in range(6)]), Entities.of_ids(["a", "b", "c"]))
    data = replace(Dataset.build(catalog, USERS, ITEMS), vectors={"deep": VECTORS})
    return Neighbors.fit(data, NeighborsConfig(vectors_of="deep", **settings), SPEECHLESS)


def ask(*rows, users=None):
    return Queries.build(Histories.build(rows), users=users)


def scores(model, queries):
    return model.score(queries, np.tile(np.arange(6, dtype=np.int32), (len(queries), 1)))


def test_item_knn_finds_what_points_the_same_way_liked_or_not():
    got = scores(fit(model="item_knn", neighbours=2), ask([0], [2]))
    assert got[0, 4] > got[0, 1] > 0.9
    assert got[0, 3] == got[0, 2] == 0  # among nobody's two nearest
    assert got[1, 3] > 0.9
    assert np.isnan(got[:, 5]).all()


def test_item_knn_is_the_mean_of_cosines_weighted_by_recency():
    model = fit(model="item_knn", neighbours=6, half_life=1)
    unit = as_known(VECTORS, 6)
    wanted = (unit[0] @ unit[3] + 2 * unit[2] @ unit[3]) / 3
    np.testing.assert_allclose(scores(model, ask([0, 2]))[0, 3], wanted, rtol=1e-5)


def test_user_knn_asks_those_whose_taste_points_the_same_way():
    model = fit(model="user_knn", neighbours=1, likes_half_life=None)
    got = scores(model, ask([4], [3]))  # nobody has item 4: only its vector says who is near
    np.testing.assert_allclose(got[:, :4], [[1, 1, 0, 0], [0, 0, 1, 1]], atol=1e-6)
    own = scores(model, ask([0, 1], users=[0]))
    assert own[0, 2] == 1, "nobody is his own neighbour"


def test_what_neighbours_liked_long_ago_counts_less():
    got = scores(fit(model="user_knn", neighbours=1, likes_half_life=6), ask([4]))[0]
    np.testing.assert_allclose(got[:2], [2 ** (-1 / 6), 1], rtol=1e-5)


@pytest.mark.parametrize("model", ["item_knn", "user_knn"])
def test_saved_and_loaded_answers_alike(model, tmp_path):
    fitted = fit(model=model)
    fitted.save(tmp_path)
    loaded = Neighbors.load(tmp_path, fitted.config, Catalog(fitted.items, Entities.of_ids([])))
    queries = ask([0, 2], [3], users=[0, -1])
    np.testing.assert_array_equal(scores(loaded, queries), scores(fitted, queries))


def test_reasons_do_not_claim_that_people_said_it():
    queries, items = ask([0]), np.array([4], np.int32)
    assert fit(model="item_knn").explain(queries, np.zeros_like(items), items) == ["like i0, which you liked"]


def test_a_history_of_unknown_vectors_says_nothing():
    assert np.isnan(scores(fit(model="item_knn"), ask([5]))).all()


def test_settings_that_vectors_pass_over_are_mistakes():
    for wrong in (
        {"model": "ease"},
        {"model": "item_knn", "similarity": "jaccard"},
        {"model": "user_knn", "shrink": 1},
    ):
        with pytest.raises(ValidationError):
            NeighborsConfig(vectors_of="deep", **wrong)
    assert NeighborsConfig(model="item_knn", vectors_of="deep").needs_vectors_of == ("deep",)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 99))
def test_kept_are_the_nearest_of_each_item(n, k, seed):
    vectors = as_known(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32), n)
    weights = fit_item_knn_on_vectors(vectors, k).toarray()
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, 0)
    for column, exact in zip(weights.T, cosines.T, strict=True):
        kept = column > 0
        assert kept.sum() <= k
        np.testing.assert_allclose(column[kept], exact[kept], rtol=1e-5)
        assert exact[~kept].max(initial=-1) <= column[kept].min(initial=2)
        assert kept.sum() == min(k, (exact > 0).sum())
