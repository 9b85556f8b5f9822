"""The index agrees with an exact search of all vectors."""

import numpy as np
import pytest
from cuvee import Candidates, Cells, Histories, Nearest, Queries, Ragged
from cuvee.search import nearest as module
from cuvee.search.nearest import ranked, unlisted
from hypothesis import given, settings
from hypothesis import strategies as st


def clustered(n, d=16, seed=0):
    """Vectors that lie in clumps, as those of real items do."""
    rng = np.random.default_rng(seed)
    clumps = rng.normal(size=(40, d)) * 2
    return (clumps[rng.integers(0, 40, n)] + rng.normal(size=(n, d))).astype(np.float32)


def queries_of(b, excluded=None, eligible=None):
    return Queries.build(Histories.build([[]] * b), excluded=excluded, eligible=eligible)


def exactly(vectors, asking, k, queries):
    scores = asking @ vectors.T
    return Candidates.top(np.where(np.isnan(scores), np.nan, scores).astype(np.float32), k, queries)


@pytest.fixture(scope="module")
def index():
    vectors = clustered(30_000)
    return vectors, Nearest.fit(vectors, clustered(200, seed=1), k=50)


def test_the_recall_that_is_told_is_that_of_other_queries_too(index):
    vectors, found = index
    assert 0.95 <= found.cells.recall <= 1
    assert found.cells.probes < len(found.cells.centres) / 2, "else nothing was saved"
    asking = clustered(100, seed=2)
    items, scores = found.search(asking, 50, queries_of(100))
    exact = exactly(vectors, asking, 50, queries_of(100))
    recall = np.mean([len(np.intersect1d(a, b)) / 50 for a, b in zip(items, exact.items, strict=True)])
    assert recall > 0.93
    np.testing.assert_allclose(scores, (vectors[items] * asking[:, None]).sum(axis=2), rtol=1e-4, atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("share", [0.5, 0.05, 0.001, 0.0])
@pytest.mark.parametrize("few", [0, 20_000], ids=["searched", "looked through"])
def test_a_filter_is_obeyed_and_still_finds_k(index, monkeypatch, share, few):
    monkeypatch.setattr(module, "FEW", few)
    vectors, found = index
    eligible = np.random.default_rng(3).random(len(vectors)) < share
    asking = clustered(20, seed=4)
    queries = queries_of(20, eligible=eligible)
    items, _ = found.search(asking, 50, queries)
    exact = exactly(vectors, asking, 50, queries).items
    assert ((items >= 0).sum(axis=1) == min(50, eligible.sum())).all()
    assert eligible[items[items >= 0]].all()
    recall = [
        len(np.intersect1d(a[a >= 0], b[b >= 0])) / max((b >= 0).sum(), 1) for a, b in zip(items, exact, strict=True)
    ]
    assert share == 0 or np.mean(recall) > 0.9


@settings(deadline=None)
@given(st.data())
def test_all_cells_looked_into_is_the_exact_answer(data):
    n, b = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    # whole numbers: no rounding, and many equal scores
    vectors = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    vectors[rng.random(n) < 0.2] = np.nan
    asking = rng.integers(-2, 3, (b, 3)).astype(np.float32)
    excluded = Ragged.of([np.unique(rng.integers(0, n, data.draw(st.integers(0, n)))) for _ in range(b)])
    eligible = data.draw(st.none() | st.just(rng.random(n) < 0.6))
    queries = queries_of(b, excluded, eligible)
    k = data.draw(st.integers(1, n))
    cells = Cells.learn(vectors)
    whole = Nearest(cells, vectors[cells.items])
    items, scores = whole.search(asking, k, queries)
    exact = exactly(vectors, asking, k, queries)
    np.testing.assert_array_equal(np.sort(scores, axis=1), np.sort(exact.scores, axis=1))
    listed = ranked(items, scores, k)
    np.testing.assert_array_equal(listed.scores, exact.scores)


def test_what_is_newer_than_the_index_is_listed_unless_excluded():
    queries = queries_of(2, Ragged.of([[3, 6], [5]]), np.array([1, 1, 1, 1, 1, 1, 1, 0], bool))
    np.testing.assert_array_equal(unlisted(5, 8, queries), [[5, -1, -1], [-1, 6, -1]])


def test_saved_and_mapped_it_answers_alike(index, tmp_path):
    _, found = index
    found.save(tmp_path, "index")
    again = Nearest.load(tmp_path, "index")
    asking = clustered(5, seed=6)
    for mine, its in zip(found.search(asking, 9, queries_of(5)), again.search(asking, 9, queries_of(5)), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert again.cells.recall == found.cells.recall


def test_equal_data_and_seed_make_an_equal_index():
    one, other = (Cells.learn(clustered(2_000)) for _ in range(2))
    np.testing.assert_array_equal(one.items, other.items)


@pytest.mark.parametrize("vectors", [np.empty((0, 3)), np.full((4, 3), np.nan)], ids=["none", "nothing known"])
def test_nothing_indexed_finds_nothing(vectors):
    index = Nearest.fit(vectors.astype(np.float32), np.ones((2, 3), np.float32), k=3)
    items, scores = index.search(np.ones((2, 3), np.float32), 3, queries_of(2))
    assert (items == -1).all()
    assert np.isnan(scores).all()
