"""Each model against its definition, written out slowly."""

import numpy as np
import pytest
from cuvee import Histories, Ragged
from cuvee_neighbors import ease
from cuvee_neighbors.ease import fit_ease, nearby, together
from cuvee_neighbors.item_knn import fit_item_knn
from cuvee_neighbors.item_weights import ItemWeights
from cuvee_neighbors.similarity import compare, keep_top
from cuvee_neighbors.transitions import count_transitions, fit_transitions
from cuvee_neighbors.user_knn import UserNeighbours
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse


def likes(users=30, items=12, seed=0):
    return sparse.csr_array((np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float32))


@pytest.mark.parametrize("limit", [1e9, 0.0], ids=["float32", "float64"])
def test_ease_is_the_ridge_regression_of_each_item_on_the_others(monkeypatch, limit):
    monkeypatch.setattr(ease, "WELL_CONDITIONED", limit)
    liked = likes()
    dense = liked.toarray().astype(np.float64)
    weights = fit_ease(together(liked), 2.0)
    assert weights.dtype == np.float32
    for j in range(dense.shape[1]):
        others = np.delete(dense, j, axis=1)
        ridge = np.linalg.solve(others.T @ others + 2.0 * np.eye(others.shape[1]), others.T @ dense[:, j])
        np.testing.assert_allclose(np.delete(weights[:, j], j), ridge, atol=2e-5)
        assert weights[j, j] == 0


def test_ease_knows_nothing_of_items_without_likes():
    liked = likes()
    widened = sparse.csr_array((liked.data, liked.indices, liked.indptr), shape=(liked.shape[0], liked.shape[1] + 1))
    weights = fit_ease(together(widened), 2.0)
    assert not weights[-1].any()
    assert not weights[:, -1].any()


def test_pairs_liked_near_each_other_count_more():
    # item 1 is met twice, and stands where it was last; 3 was not liked, but takes a place
    events = Histories.build([[1, 0, 3, 2, 1], [2, 0], []], [[1, 1, 0, 1, 1], [1, 1], []])
    expected = np.zeros((4, 4))
    expected[0, 0] = expected[2, 2] = 2
    expected[1, 1] = 1
    expected[0, 1] = expected[1, 0] = 2 / (2 + 3)
    expected[1, 2] = expected[2, 1] = 2 / (2 + 1)
    expected[0, 2] = expected[2, 0] = 2 / (2 + 2) + 2 / (2 + 1)
    np.testing.assert_allclose(nearby(events, 4, 2.0), expected, rtol=1e-6)


@given(st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=12), st.floats(0.1, 100))
def test_pairs_make_a_matrix_that_ease_can_be_solved_for(rows, near):
    pairs = nearby(Histories.build(rows), 10, near).astype(np.float64)
    np.testing.assert_array_equal(pairs, pairs.T)
    assert np.linalg.eigvalsh(pairs).min() > -1e-4
    far = nearby(Histories.build(rows), 10, 1e9)
    np.testing.assert_allclose(far, together(Histories.build(rows).matrix(10)), rtol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "jaccard"])
def test_similarities_are_those_of_sets(similarity):
    dense = likes().toarray()
    counts = dense.sum(axis=0)
    alike = compare(dense.T @ dense, counts[:, None], counts, similarity, 3.0)
    for i in range(dense.shape[1]):
        for j in range(dense.shape[1]):
            both = float((dense[:, i] * dense[:, j]).sum())
            whole = np.sqrt(counts[i] * counts[j]) if similarity == "cosine" else counts[i] + counts[j] - both
            assert alike[i, j] == pytest.approx(both / (whole + 3.0), abs=1e-6)


def test_keep_top_keeps_the_largest_positive_ones():
    rows = np.array([[3, 1, 2, 0], [0, 0, 0, 1], [0, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(keep_top(rows, 2).toarray(), [[3, 0, 2, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(keep_top(rows, 9).toarray(), rows)


def test_item_knn_keeps_each_items_nearest(monkeypatch):
    liked = likes(items=15)
    whole = fit_item_knn(liked, 99, "cosine", 1.0).toarray()
    kept = fit_item_knn(liked, 4, "cosine", 1.0).toarray()
    monkeypatch.setattr("cuvee_neighbors.pruned.ENTRIES", 40)
    np.testing.assert_array_equal(kept, fit_item_knn(liked, 4, "cosine", 1.0).toarray())
    np.testing.assert_allclose(whole, whole.T, atol=1e-7)
    for j in range(15):
        assert whole[j, j] == 0
        assert np.count_nonzero(kept[:, j]) <= 4
        assert kept[:, j].sum() == pytest.approx(np.sort(whole[:, j])[-4:].sum())


def test_transitions_count_by_distance_and_direction():
    events = Ragged.of([[0, 1, 2], [1, 1, 3], [], [2]])
    counts = sparse.vstack(list(count_transitions(events, 5, window=2))).toarray()
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[1, 2] = 1
    expected[0, 2] = 1 / 2
    expected[1, 3] = 1 + 1 / 2
    np.testing.assert_array_equal(counts, expected)


def test_plain_transitions_are_probabilities():
    events = Ragged.of([[0, 1], [0, 1], [0, 1], [0, 2]])
    weights = fit_transitions(events, 3, window=1, power=1, smoothing=0, damping=0, neighbours=9).toarray()
    np.testing.assert_allclose(weights, [[0, 0.75, 0.25], [0, 0, 0], [0, 0, 0]])


def test_smoothing_makes_rare_items_speak_softly_and_damping_the_popular():
    events = Ragged.of([[0, 1]] * 9 + [[2, 1]] + [[0, 3]] * 4)
    settings = {"window": 1, "power": 1, "neighbours": 9}
    smooth = fit_transitions(events, 4, smoothing=5, damping=0, **settings).toarray()
    assert 0 < smooth[2, 1] < smooth[0, 1]
    damped = fit_transitions(events, 4, smoothing=0, damping=1, **settings).toarray()
    assert damped[0, 3] / damped[0, 1] > smooth[0, 3] / smooth[0, 1]


def test_no_events_no_weights():
    empty = Ragged.of([[], []])
    settings = {"window": 3, "power": 0.5, "smoothing": 0.0, "damping": 0.5, "neighbours": 2}
    assert fit_transitions(empty, 3, **settings).nnz == 0
    assert fit_ease(together(sparse.csr_array((2, 3), dtype=np.float32)), 1.0).shape == (3, 3)
    assert fit_item_knn(sparse.csr_array((2, 3), dtype=np.float32), 2, "cosine", 0.0).nnz == 0


def test_user_knn_asks_the_nearest_and_never_oneself():
    liked = sparse.csr_array(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]], np.float32))
    model = UserNeighbours.fit(liked, neighbours=1, similarity="cosine", shrink=0.0)
    history = Histories.build([[0, 1]]).matrix(4)
    np.testing.assert_allclose(model.scores(history, np.array([-1])), [[1, 1, 0, 0]])
    np.testing.assert_allclose(model.scores(history, np.array([0])), [[1, 1, 1, 0]])
    # both items are shared alike with those who like item 2, and nobody near likes item 3
    rows, items = np.zeros(2, np.int32), np.array([2, 3], np.int32)
    assert model.strongest(history, np.array([0]), rows, items).tolist() == [0, -1]


def test_user_knn_in_blocks_equals_at_once(monkeypatch):
    model = UserNeighbours.fit(likes(), neighbours=5, similarity="jaccard", shrink=1.0)
    history, users = likes(seed=1), np.arange(30)
    whole = model.scores(history, users)
    monkeypatch.setattr("cuvee_neighbors.user_knn.CELLS", 90)
    np.testing.assert_array_equal(whole, model.scores(history, users))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_item_weights_multiply_and_name_what_adds_most(kind):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(40, 40)).astype(np.float32)
    model = ItemWeights(w if kind == "dense" else sparse.csr_array(w))
    history = likes(items=40)
    whole = history.toarray()
    np.testing.assert_allclose(model.scores(history, np.arange(30)), whole @ w, atol=1e-4)
    rows, items = (a.ravel().astype(np.int32) for a in np.meshgrid(np.arange(30), np.arange(40), indexing="ij"))
    added = whole[rows] * w[:, items].T
    wanted = np.where(added.max(axis=1) > 0, added.argmax(axis=1), -1)
    assert model.strongest(history, np.arange(30), rows, items).tolist() == wanted.tolist()


def test_user_knn_weighs_what_neighbours_like_and_not_who_they_are():
    """Neighbours are chosen by the items in common; a neighbour's like counts by its weight."""
    liked = np.array([[1, 1, 0, 0], [0.5, 0.25, 1, 0], [0, 0, 1, 1]], np.float32)
    weighted = UserNeighbours.fit(sparse.csr_array(liked), neighbours=2, similarity="cosine", shrink=0.0)
    plain = UserNeighbours.fit(sparse.csr_array(np.sign(liked)), neighbours=2, similarity="cosine", shrink=0.0)
    history, nobody = Histories.build([[0, 1]]).matrix(4), np.array([-1])
    np.testing.assert_array_equal(weighted.nearest(history, nobody).toarray(), plain.nearest(history, nobody).toarray())
    near = plain.nearest(history, nobody).toarray()[0]
    np.testing.assert_allclose(weighted.scores(history, nobody)[0], near @ liked, rtol=1e-6)
