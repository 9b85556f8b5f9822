import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee import Entities, Role
from cuvee_tfserving.training.features import ItemFeatures

ROLES = {
    "title": Role.TEXT,
    "genres": Role.CATEGORIES,
    "brand": Role.CATEGORY,
    "year": Role.NUMBER,
    "new": Role.FLAG,
    "poster": Role.VECTOR,
    "link": Role.OTHER,
}


def items(**columns: object) -> Entities:
    given = {
        "id": ["a", "b", "c"],
        "title": ["The red kite", "Red", None],
        "genres": [["Noir", "War"], ["War"], None],
        "brand": ["x", None, "y"],
        "year": [1990.0, 2010.0, None],
        "new": [True, False, None],
        "poster": [[3.0, 4.0], None, [0.0, 1.0]],
        "link": ["l", "m", "n"],
    } | columns
    return Entities.of(pl.DataFrame(given), ROLES)


def learnt(text_buckets: int = 8, max_categories: int = 10) -> ItemFeatures:
    return ItemFeatures.learn(items(), text_buckets, max_categories)


def test_every_role_becomes_its_columns() -> None:
    features = learnt()
    matrix = features.matrix(items())
    assert matrix.dtype == np.float32
    assert matrix.shape == (3, features.width) == (3, 4 + 2 + 1 + 8 + 2)
    assert features.labels[0] == ("genres", "War"), "the most frequent label comes first"
    assert matrix[0, 0] == pytest.approx(3**-0.5)
    assert matrix[2, 0] == 0
    np.testing.assert_allclose(matrix[:, 4:6], [[-1, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(matrix[:, 6], [1, 0, 0])
    assert np.linalg.norm(matrix[:, 7:15], axis=1).tolist() == pytest.approx([1, 1, 0], abs=1e-6)
    np.testing.assert_allclose(matrix[:, 15:], [[0.6, 0.8], [0.0, 0.0], [0.0, 1.0]], atol=1e-6)


def test_nothing_to_read_gives_no_columns() -> None:
    bare = Entities.of_ids(["a", "b"])
    features = ItemFeatures.learn(bare, 16, 10)
    assert features.width == 0
    assert features.matrix(bare).shape == (2, 0)


def test_the_vocabulary_survives_the_disk(tmp_path: Path) -> None:
    learnt().save(tmp_path / "item_features.json")
    read = ItemFeatures.load(tmp_path / "item_features.json")
    np.testing.assert_array_equal(read.matrix(items()), learnt().matrix(items()))
    json.loads((tmp_path / "item_features.json").read_text())


def test_items_from_a_position_on_are_as_in_the_whole() -> None:
    features = learnt()
    np.testing.assert_array_equal(features.matrix(items(), 1), features.matrix(items())[1:])
    assert features.matrix(items(), 3).shape == (0, features.width)


def test_unknown_labels_and_missing_columns_are_passed_over() -> None:
    features = learnt()
    known = features.matrix(items())
    other = features.matrix(items(genres=[["Noir", "War", "Opera"], ["War"], None]))
    np.testing.assert_array_equal(other, known)
    bare = features.matrix(Entities.of_ids(["z"]))
    assert bare.shape == (1, features.width)
    assert np.isfinite(bare).all()


def test_only_the_most_frequent_labels_are_kept() -> None:
    assert learnt(max_categories=1).labels == [("genres", "War")]


def test_far_numbers_are_clipped_and_bad_vectors_are_zeros() -> None:
    features = learnt()
    matrix = features.matrix(items(year=[1e30, -1e30, None], poster=[[1.0], [float("inf"), 1.0], None]))
    np.testing.assert_array_equal(matrix[:2, 4], [3, -3])
    np.testing.assert_allclose(matrix[:, 15:], [[0, 0], [0, 1], [0, 0]])


def test_features_and_config_load_without_tensorflow() -> None:
    code = (
        "import sys, cuvee_tfserving.training.features, cuvee_tfserving.training.config;"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
