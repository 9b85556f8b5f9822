"""Breadth, novelty, diversity and popularity of lists: against plain definitions, and by hand."""

import itertools

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.data.dataset import Dataset
from cuvee.evaluation import beyond_accuracy as beyond
from cuvee.ranking.rows import padded
from cuvee.recommender import Ragged
from hypothesis import given
from hypothesis import strategies as st

N = 8
lists = st.lists(st.lists(st.integers(0, N - 1), unique=True, max_size=N), min_size=1, max_size=5)
counts = st.lists(st.integers(0, 20), min_size=N, max_size=N).map(np.array)
labels = st.lists(st.lists(st.sampled_from("abcd"), unique=True, max_size=4), min_size=N, max_size=N)


def catalog(**columns):
    roles = {"genres": Role.CATEGORIES, "maker": Role.CATEGORY, "vector": Role.VECTOR, "title": Role.TEXT}
    frame = pl.DataFrame({"id": [f"i{n}" for n in range(N)], **columns})
    return Catalog(Entities.of(frame, {n: roles[n] for n in columns}), Entities.of_ids("uvw"))


def plainly(shown, vectors):
    """The mean of 1 - cosine over all pairs, one by one."""
    known = [vectors[i] for i in shown if np.linalg.norm(vectors[i]) > 0]
    pairs = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in itertools.combinations(known, 2)]
    return np.mean(pairs) if pairs else np.nan


@given(shown=lists, genres=labels)
def test_diversity_on_categories_is_that_of_all_pairs(shown, genres):
    traits = beyond.ItemTraits.of(catalog(genres=pl.Series(genres, dtype=pl.List(pl.String))))
    vectors = np.array([[g in own for g in "abcd"] for own in genres], float)
    found = beyond.intra_list_diversity(padded(Ragged.of(shown)), traits)
    np.testing.assert_allclose(found, [plainly(row, vectors) for row in shown], atol=1e-6)
    assert traits.columns == ("genres",)


@given(shown=lists)
def test_diversity_on_vectors_is_that_of_all_pairs(shown):
    vectors = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    column = pl.Series(vectors, dtype=pl.Array(pl.Float32, 3))
    traits = beyond.ItemTraits.of(catalog(vector=column))
    found = beyond.intra_list_diversity(padded(Ragged.of(shown)), traits)
    np.testing.assert_allclose(found, [plainly(row, vectors) for row in shown], atol=1e-5)


def test_single_labels_count_beside_several_and_text_does_not():
    traits = beyond.ItemTraits.of(
        catalog(maker=["x", "x", "y", None, "y", "z", "z", "z"], genres=[["a"]] * N, title=["t"] * N)
    )
    assert traits.columns == ("maker", "genres")
    found = beyond.intra_list_diversity(np.array([[0, 1], [0, 2]], np.int32), traits)
    np.testing.assert_allclose(found, [0, 0.5], atol=1e-6)  # one label of two in common
    assert beyond.ItemTraits.of(catalog(title=["t"] * N)) is None


@given(shown=lists, counts=counts)
def test_novelty_and_popularity_are_means_over_the_list(shown, counts):
    made = padded(Ragged.of(shown))
    novelty, popularity = beyond.novelty(made, counts, 20), beyond.popularity(made, counts)
    for row, bits, percentile in zip(shown, novelty, popularity, strict=True):
        if not row:
            assert np.isnan(bits)
            assert np.isnan(percentile)
            continue
        assert bits == pytest.approx(np.mean([-np.log2((counts[i] + 1) / 21) for i in row]))
        places = [np.mean([(c < counts[i]) + (c == counts[i]) / 2 for c in counts]) for i in row]
        assert percentile == pytest.approx(np.mean(places))


@given(shown=lists)
def test_gini_is_the_mean_difference_of_exposures(shown):
    made = padded(Ragged.of(shown))
    exposure = np.bincount([i for row in shown for i in row], minlength=N)
    if not exposure.sum():
        assert np.isnan(beyond.exposure_gini(made, N))
        return
    plain = np.abs(exposure[:, None] - exposure[None]).sum() / (2 * N * exposure.sum())
    assert beyond.exposure_gini(made, N) == pytest.approx(plain)


def test_extremes():
    everyone_the_same = np.zeros((50, 1), np.int32)
    everything_once = np.arange(N, dtype=np.int32)[:, None]
    assert beyond.exposure_gini(everything_once, N) == pytest.approx(0)
    assert beyond.exposure_gini(everyone_the_same, N) == pytest.approx(1 - 1 / N)
    assert beyond.coverage(everything_once, N) == 1
    assert beyond.coverage(np.array([[3, -1], [3, 4]], np.int32), 10) == pytest.approx(0.2)
    assert beyond.popularity(everything_once, np.arange(N)).mean() == pytest.approx(0.5)


def test_users_are_counted_once_and_only_where_they_like():
    data = Dataset.build(catalog(), [0, 0, 1, 2], [3, 3, 3, 4], weights=[1.0, 1.0, 1.0, 0.0])
    assert beyond.user_counts(data).tolist() == [0, 0, 0, 2, 0, 0, 0, 0]
