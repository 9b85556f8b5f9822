"""Features and the fold-in, against their definitions."""

import numpy as np
import polars as pl
import pytest
from cuvee import Entities, Role
from cuvee_lightfm import LightFMConfig
from cuvee_lightfm.features import BINS, Features
from cuvee_lightfm.folding import BACKGROUND, RIDGE, fold_in, stretch, unseen
from cuvee_lightfm.training import epochs_of, threads_of
from hypothesis import given
from hypothesis import strategies as st

FRAME = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "kind": ["x", "y", "x", None],
        "genres": [["p", "q"], ["q"], [], None],
        "year": [1990.0, 2000.0, None, 2010.0],
        "adult": [True, False, False, None],
        "title": ["one", "two", "three", "four"],
        "same": ["k"] * 4,
    }
)
ITEMS = Entities.of(FRAME, {"kind": Role.CATEGORY, "same": Role.CATEGORY})

SCHEMA = {"kind": pl.String, "genres": pl.List(pl.String), "year": pl.Float64, "adult": pl.Boolean}


def named(features):
    return [f"{c.name}={label}" for c in features.columns for label in c.labels]


def test_each_column_adds_up_to_one():
    features = Features.of(ITEMS, ("kind", "genres", "adult"), "item_features")
    names, matrix = named(features), features.of_entities(ITEMS).toarray()
    assert names == ["kind=x", "kind=y", "genres=q", "genres=p", "adult=False", "adult=True"]
    np.testing.assert_array_equal(
        matrix, [[1, 0, 0.5, 0.5, 0, 1], [0, 1, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    )


def test_all_by_default_but_what_tells_nothing_apart():
    assert [c.name for c in Features.of(ITEMS, None, "").columns] == ["kind", "genres", "year", "adult"]
    assert len(Features.of(ITEMS, (), "")) == 0


def test_numbers_fall_into_bins_of_equal_size():
    rng = np.random.default_rng(0)
    entities = Entities.of(pl.DataFrame({"id": [str(n) for n in range(800)], "price": rng.exponential(10, 800)}))
    features = Features.of(entities, None, "")
    np.testing.assert_allclose(features.of_entities(entities).sum(axis=0), [100] * BINS)


@pytest.mark.parametrize("value", [None, "cheap", ("1",), float("nan"), float("inf")])
def test_a_number_that_is_none_has_no_bin(value):
    assert Features.of(ITEMS, ("year",), "").matrix([{"year": value}]).nnz == 0


def test_unknown_names_and_labels_weigh_nothing():
    features = Features.of(ITEMS, None, "")
    rows = [{"shoe size": 43.0}, {"kind": "z", "genres": ("r",)}, {}, {"genres": ("q", "r")}]
    assert features.matrix(rows).sum(axis=1).tolist() == [0, 0, 0, 1]


def test_flags_of_profiles_and_of_the_catalogue_are_alike():
    features = Features.of(ITEMS, ("adult",), "")
    np.testing.assert_array_equal(
        features.matrix([{"adult": True}]).toarray(), features.of_entities(ITEMS)[[0]].toarray()
    )


def test_features_survive_json_and_a_catalogue_without_their_columns():
    features = Features.of(ITEMS, None, "")
    again = Features.from_json(features.to_json())
    np.testing.assert_array_equal(features.of_entities(ITEMS).toarray(), again.of_entities(ITEMS).toarray())
    assert again.of_entities(Entities.of_ids(["a", "b"])).nnz == 0
    assert again.of_entities(ITEMS, first=3).shape == (1, len(features))


def test_fold_in_solves_its_ridge():
    rng = np.random.default_rng(0)
    q = rng.normal(size=(50, 6)).astype(np.float32)
    rows = [np.array([1, 5, 9]), np.array([], int), np.array([3])]
    weights = [np.array([0.2, 0.5, 1.0], np.float32), np.empty(0, np.float32), np.array([2.0], np.float32)]
    offsets = np.array([0, 3, 3, 4])
    found = fold_in(q[np.concatenate(rows)], np.concatenate(weights), offsets, unseen(q))
    exact = q.astype(np.float64)
    mean = exact.T @ exact / 50
    for b in (0, 2):
        left = BACKGROUND * (mean + RIDGE * np.trace(mean) / 6 * np.eye(6))
        left += sum(w * np.outer(exact[i], exact[i]) for i, w in zip(rows[b], weights[b], strict=True))
        right = sum(w * exact[i] for i, w in zip(rows[b], weights[b], strict=True))
        np.testing.assert_allclose(found[b], np.linalg.solve(left, right), rtol=1e-3, atol=1e-5)
    assert not found[1].any()


def test_stretch_keeps_directions_and_leaves_nothing_alone():
    vectors = np.array([[3, 4], [0, 0]], np.float32)
    np.testing.assert_allclose(stretch(vectors, 10), [[6, 8], [0, 0]])


@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from("xyz"),
            st.none() | st.lists(st.none() | st.sampled_from("pqr"), max_size=4),
            st.none() | st.floats(width=32),
            st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_table_of_rows_is_read_as_its_rows_are_one_by_one(rows):
    """The catalogue is read by columns, profiles one by one: a label is the same feature either way."""
    frame = pl.DataFrame(
        {"id": [str(n) for n in range(len(rows))], **dict(zip(SCHEMA, zip(*rows, strict=True), strict=True))},
        schema={"id": pl.String, **SCHEMA},
    )
    roles = {"kind": Role.CATEGORY, "genres": Role.CATEGORIES, "year": Role.NUMBER, "adult": Role.FLAG}
    entities = Entities.of(frame, roles)
    for features in (Features.of(entities, None, ""), Features.of(ITEMS, None, "")):
        one_by_one = features.matrix(frame.drop("id").to_dicts()).toarray()
        np.testing.assert_array_equal(features.of_entities(entities).toarray(), one_by_one)


@pytest.mark.parametrize(
    ("likes", "epochs"), [(0, 20), (1_000, 20), (1_000_000, 20), (2_000_000, 10), (3_000_000, 7), (100_000_000, 5)]
)
def test_many_likes_take_fewer_epochs(likes, epochs):
    assert epochs_of(likes, LightFMConfig()) == epochs
    assert epochs_of(likes, LightFMConfig(epochs=12)) == 12


def test_few_likes_are_fitted_by_one_thread_and_many_by_all_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(6), raising=False)
    assert threads_of(1_000_000, LightFMConfig()) == 1
    assert threads_of(1_000_001, LightFMConfig()) == 6
    assert threads_of(5, LightFMConfig(threads=3)) == threads_of(2_000_000, LightFMConfig(threads=3)) == 3
