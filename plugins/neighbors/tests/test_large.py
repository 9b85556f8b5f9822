"""The models for large catalogues agree with those for small ones."""

import numpy as np
import pytest
from cuvee import Candidates, Histories, Queries, Ragged
from cuvee_neighbors import item_weights, user_knn
from cuvee_neighbors.ease import fit_ease, together
from cuvee_neighbors.ease_pruned import fit_ease_pruned, largest_directions
from cuvee_neighbors.pruned import blocks_of, keep_largest, stacked
from cuvee_neighbors.sparse_scores import best, looked_up
from cuvee_neighbors.user_knn import UserNeighbours
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse


def likes(users=80, items=30, seed=0):
    """Events of two groups of users with different tastes, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    own = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    return sparse.csr_array((rng.random((users, items)) < np.where(own, 0.4, 0.1)).astype(np.float32))


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_blocks_cover_all_rows_in_order_and_stay_small(sizes, entries):
    blocks = list(blocks_of(np.asarray(sizes, np.int64), entries))
    assert [i for b in blocks for i in range(b.start, b.stop)] == list(range(len(sizes)))
    assert all(b.stop == b.start + 1 or sum(sizes[b]) <= entries for b in blocks)


@given(st.data())
def test_keep_largest_is_the_first_k_by_value_and_column(data):
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-3, 4, (rows, columns)).astype(np.float32)
    k, by_size = data.draw(st.integers(1, 12)), data.draw(st.booleans())
    kept = keep_largest(sparse.csr_array(values), k, by_size=by_size).toarray()
    for row, mine in zip(values, kept, strict=True):
        there = np.flatnonzero(row)
        key = np.abs(row) if by_size else row
        expected = np.zeros_like(row)
        first = there[np.lexsort((there, -key[there]))[:k]]
        expected[first] = row[first]
        np.testing.assert_array_equal(mine, expected)


def test_stacking_nothing_is_a_matrix_without_rows():
    assert stacked([], 7).shape == (0, 7)


def test_the_largest_directions_are_those_of_the_counts():
    liked = likes()
    vectors, values = largest_directions(liked, 5)
    exact = np.linalg.eigvalsh((liked.T @ liked).toarray().astype(np.float64))[::-1]
    np.testing.assert_allclose(values, exact[:5], rtol=1e-2)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-4)


@pytest.mark.parametrize("l2", [5.0, 100.0])
def test_pruned_ease_of_full_rank_and_length_is_ease(l2):
    liked = likes()
    exact, pruned = fit_ease(together(liked), l2), fit_ease_pruned(liked, l2, rank=99, neighbours=99).toarray()
    counted = together(liked) > 0
    np.testing.assert_allclose(pruned, exact * counted, atol=1e-4)


@pytest.mark.parametrize("rank", [2, 8])
def test_pruned_ease_ranks_as_ease_does(rank):
    liked = likes()
    exact = liked @ fit_ease(together(liked), 50.0)
    pruned = liked @ fit_ease_pruned(liked, 50.0, rank=rank, neighbours=99).toarray()
    assert np.corrcoef(exact.ravel(), pruned.ravel())[0, 1] > 0.97


def test_pruned_ease_keeps_the_largest_weights_of_each_item(monkeypatch):
    monkeypatch.setattr("cuvee_neighbors.ease_pruned.WIDER", 99)  # all are looked at
    liked = likes()
    whole = fit_ease_pruned(liked, 20.0, rank=8, neighbours=99)
    few = fit_ease_pruned(liked, 20.0, rank=8, neighbours=10)
    np.testing.assert_allclose(few.toarray(), keep_largest(whole, 10, by_size=True).toarray(), atol=1e-6)
    monkeypatch.setattr("cuvee_neighbors.pruned.ENTRIES", 50)
    np.testing.assert_allclose(few.toarray(), fit_ease_pruned(liked, 20.0, rank=8, neighbours=10).toarray(), atol=1e-6)


def test_pruned_ease_that_looks_at_few_pairs_has_their_exact_weights(monkeypatch):
    monkeypatch.setattr("cuvee_neighbors.ease_pruned.WIDER", 1)
    liked = likes()
    few = fit_ease_pruned(liked, 20.0, rank=99, neighbours=5).toarray()
    exact = fit_ease(together(liked), 20.0)
    assert ((few != 0).sum(axis=1) == 5).all()
    np.testing.assert_allclose(few, np.where(few != 0, exact, 0), atol=1e-4)


def test_pruned_ease_without_any_like_says_nothing():
    assert fit_ease_pruned(sparse.csr_array((2, 3), dtype=np.float32), 10.0, 4, 5).nnz == 0


@settings(deadline=None)
@given(st.data())
def test_the_best_of_sparse_scores_are_those_of_dense_ones(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    b, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 25))
    dense = rng.integers(-2, 4, (b, n)).astype(np.float32)
    known = rng.random(n) < 0.8
    queries = Queries.build(
        Histories.build([[]] * b),
        excluded=Ragged.of([np.unique(rng.integers(0, n, data.draw(st.integers(0, n)))) for _ in range(b)]),
        eligible=data.draw(st.none() | st.just(rng.random(n) < 0.5)),
    )
    k = data.draw(st.integers(1, 30))
    items = rng.integers(0, n, (b, 7))
    np.testing.assert_array_equal(looked_up(sparse.csr_array(dense), items), np.take_along_axis(dense, items, axis=1))
    found = best(sparse.csr_array(dense), k, queries, known)
    dense[:, ~known] = -np.inf
    dense[dense <= 0] = -np.inf
    exact = Candidates.top(dense, k, queries)
    np.testing.assert_array_equal(found.items, exact.items)
    np.testing.assert_array_equal(found.scores, exact.scores)


@pytest.mark.parametrize("similarity", ["cosine", "jaccard"])
def test_user_knn_of_many_users_equals_that_of_few(monkeypatch, similarity):
    model = UserNeighbours.fit(likes(), neighbours=99, similarity=similarity, shrink=1.0)
    history, users = likes(seed=1), np.arange(80)
    dense = model.scores(history, users)
    monkeypatch.setattr(user_knn, "LARGE", 0)
    np.testing.assert_allclose(model.sparse_scores(history, users).toarray(), dense, atol=1e-6)


def test_item_weights_of_large_catalogues_stay_sparse(monkeypatch):
    model = item_weights.ItemWeights(sparse.random_array((30, 30), density=0.2, rng=0, dtype=np.float32).tocsr())
    history, users = likes(), np.arange(80)
    assert model.sparse_scores(history, users) is None
    monkeypatch.setattr(item_weights, "LARGE", 0)
    np.testing.assert_allclose(model.sparse_scores(history, users).toarray(), model.scores(history, users), atol=1e-5)
