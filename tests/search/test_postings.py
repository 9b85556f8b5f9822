"""The search by posting lists agrees with an exact search of all items."""

import numpy as np
import pytest
from cuvee import Candidates, Histories, Postings, Queries, Ragged
from cuvee.search import postings as module
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse


def narrow(rows):
    made = sparse.csr_array(rows.astype(np.float32))
    made.indices, made.indptr = made.indices.astype(np.int32), made.indptr.astype(np.int32)
    return made


def titles(n, words=2_000, seed=0, length=6):
    """Vectors of a few words, some of which are in many titles."""
    rng = np.random.default_rng(seed)
    word = np.minimum(rng.zipf(1.3, (n, length)) - 1, words - 1)
    where = (np.repeat(np.arange(n), length), word.ravel())
    return narrow(sparse.coo_array((rng.random(n * length) + 0.1, where), (n, words)).tocsr())


def queries_of(b, excluded=None, eligible=None):
    return Queries.build(Histories.build([[]] * b), excluded=excluded, eligible=eligible)


def exactly(rows, asking, k, queries):
    scores = np.ascontiguousarray((rows @ asking.T).T, np.float32)
    return Candidates.top(np.where(scores > 0, scores, np.nan).astype(np.float32), k, queries)


@pytest.fixture(scope="module")
def index():
    rows = titles(60_000)
    return rows, Postings.fit(rows, titles(60, seed=1, length=20).toarray(), k=50)


def test_the_recall_that_is_told_is_that_of_other_queries_too_and_lists_are_spared(index):
    rows, found = index
    assert 0.96 <= found.recall <= 1
    assert found.budget < rows.nnz
    assert found.kept < len(found) / 4
    asking = titles(60, seed=2, length=20).toarray()
    items, scores = found.search(asking, 50, queries_of(60))
    exact = exactly(rows, asking, 50, queries_of(60))
    assert np.mean([len(np.intersect1d(a, b)) / 50 for a, b in zip(items, exact.items, strict=True)]) > 0.93
    np.testing.assert_allclose(scores, np.take_along_axis((rows @ asking.T).T, items, axis=1), rtol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()


@settings(deadline=None)
@given(st.data())
def test_with_room_for_everything_the_list_is_the_exact_one(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    n, words, b = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    # halves, so that equal scores are equal, and often there
    rows = narrow(sparse.csr_array(np.where(rng.random((n, words)) < 0.4, rng.integers(1, 4, (n, words)) / 2, 0)))
    found = Postings.fit(rows, np.zeros((0, words), np.float32))
    queries = queries_of(
        b,
        Ragged.of([np.unique(rng.integers(0, n + 2, data.draw(st.integers(0, n)))) for _ in range(b)]),
        data.draw(st.none() | st.just(rng.random(n + 1) < 0.6)),
    )
    asking = np.where(rng.random((b, words)) < 0.6, rng.integers(0, 3, (b, words)), 0).astype(np.float32)
    k = data.draw(st.integers(0, n + 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", 0)
        items, scores = found.search(asking, k, queries)
        again = found.search(asking, k, queries)
    shorter = Queries.build(
        queries.histories,
        excluded=queries.excluded,
        eligible=None if queries.eligible is None else queries.eligible[:n],
    )
    exact = exactly(rows, asking, min(k, n), shorter)
    np.testing.assert_array_equal(items[:, : exact.items.shape[1]], exact.items)
    np.testing.assert_array_equal(scores[:, : exact.items.shape[1]], exact.scores)
    assert (items[:, exact.items.shape[1] :] == -1).all()
    np.testing.assert_array_equal(again[0], items)  # the work space was left clean


@pytest.mark.parametrize("share", [0.5, 0.05, 0.001, 0.0])
@pytest.mark.parametrize("few", [0, 40_000], ids=["searched", "looked through"])
def test_a_filter_is_obeyed_and_still_finds_k(index, monkeypatch, share, few):
    monkeypatch.setattr(module, "FEW", few)
    rows, found = index
    eligible = np.random.default_rng(3).random(len(found)) < share
    asking = titles(20, seed=4, length=20).toarray()
    queries = queries_of(20, eligible=eligible)
    items, _ = found.search(asking, 50, queries)
    exact = exactly(rows, asking, 50, queries).items
    assert eligible[items[items >= 0]].all()
    assert ((items >= 0).sum(axis=1) >= np.minimum((exact >= 0).sum(axis=1), 50)).all()
    recall = [
        len(np.intersect1d(a[a >= 0], b[b >= 0])) / max((b >= 0).sum(), 1) for a, b in zip(items, exact, strict=True)
    ]
    assert np.mean(recall) > 0.93 or not eligible.any()


def test_what_is_excluded_is_not_listed_and_others_take_its_place(index):
    _, found = index
    asking = titles(10, seed=5, length=20).toarray()
    first, _ = found.search(asking, 30, queries_of(10))
    second, _ = found.search(asking, 30, queries_of(10, excluded=Ragged.of([np.sort(row[:10]) for row in first])))
    for before, after in zip(first, second, strict=True):
        assert not np.isin(after, before[:10]).any()
        assert (after >= 0).all()
        assert np.isin(before[10:], after).all()


def test_a_query_without_features_and_one_for_a_rare_word(index):
    rows, found = index
    asking = np.zeros((2, rows.shape[1]), np.float32)
    rare = int(np.flatnonzero((rows > 0).sum(axis=0) > 0)[-1])
    asking[1, rare] = 1
    items, scores = found.search(asking, 400, queries_of(2))
    assert (items[0] == -1).all()
    assert np.isnan(scores[0]).all()
    bearing = rows[:, [rare]].toarray().ravel() > 0
    assert (items[1] >= 0).sum() == min(400, bearing.sum())
    assert bearing[items[1][items[1] >= 0]].all()


def test_a_frequent_word_alone_is_read_though_its_list_is_longer_than_the_budget(index):
    rows, found = index
    frequent = int((rows > 0).sum(axis=0).argmax())
    assert (rows[:, [frequent]] > 0).sum() > found.budget / 4
    asking = np.zeros((1, rows.shape[1]), np.float32)
    asking[0, frequent] = 1
    items, _ = found.search(asking, 50, queries_of(1))
    assert (items >= 0).all()


def test_saved_and_loaded_it_is_the_same_from_several_threads_too(index, tmp_path):
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    rows, found = index
    found.save(tmp_path, "index")
    again = Postings.load(tmp_path, "index", rows)
    assert (again.budget, again.kept, again.recall) == (found.budget, found.kept, found.recall)
    asking = [titles(4, seed=seed, length=20).toarray() for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: again.search(one, 40, queries_of(4))[0], asking))
    for one, items in zip(asking, together, strict=True):
        np.testing.assert_array_equal(found.search(one, 40, queries_of(4))[0], items)


def test_negative_weights_count_and_find_nothing():
    rows = narrow(sparse.csr_array(np.asarray([[1, -1], [1, 0], [0, -1.0]])))
    found = Postings.fit(rows, np.ones((1, 2), np.float32), k=2)
    items, scores = found.search(np.ones((1, 2), np.float32), 3, queries_of(1))
    np.testing.assert_array_equal(items, [[1, 0, -1]])
    np.testing.assert_array_equal(scores, [[1, 0, np.nan]])
