"""EASE that also uses features of items, not only likes."""

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Queries, Role
from cuvee_neighbors import Neighbors, NeighborsConfig
from cuvee_neighbors.features import likeness

TAGS = [["jazz", "piano"], ["jazz"], ["rock"], None, ["rock", "rock"]]


def artists(tags=TAGS):
    frame = pl.DataFrame(
        {"id": [f"a{n}" for n in range(len(tags))], "tags": tags, "era": ["old", "new", "new", "old", None]}
    )
    return Entities(frame, {"tags": Role.CATEGORIES, "era": Role.CATEGORY})


def test_likeness_is_the_cosine_of_labels_by_how_rare_they_are():
    common, rare = np.log(6 / 3) + 1, np.log(6 / 2) + 1
    expected = np.zeros((5, 5))
    expected[[0, 1, 2, 4], [0, 1, 2, 4]] = 1
    expected[2, 4] = expected[4, 2] = 1
    expected[0, 1] = expected[1, 0] = common / np.hypot(common, rare)
    np.testing.assert_allclose(likeness(artists(), {"tags": 1}), expected, atol=1e-6)


def test_columns_add_up_by_their_weights():
    items = artists()
    both = likeness(items, {"tags": 3, "era": 0.5})
    np.testing.assert_allclose(both, 3 * likeness(items, {"tags": 1}) + 0.5 * likeness(items, {"era": 1}), atol=1e-6)
    assert both[0, 3] == pytest.approx(0.5)


def test_without_any_label_nothing_is_alike():
    assert not likeness(
        Entities(
            pl.DataFrame({"id": ["a"], "tags": [[]]}, {"id": pl.String, "tags": pl.List(pl.String)}),
            {"tags": Role.CATEGORIES},
        ),
        {"tags": 1},
    ).any()


def fit(**settings):
    """Five people who each like one artist, so likes alone say nothing about which artists are alike."""
    catalog = Catalog(artists(), Entities.of_ids([f"u{n}" for n in range(5)]))
    data = Dataset.build(catalog, users=range(5), items=range(5))
    return Neighbors.fit(data, NeighborsConfig(model="ease", l2=1.0, **settings), lambda done, total, note="": None)


def test_who_likes_rock_is_told_more_rock():
    history = Queries.build(Histories.build([[2]]))
    items = np.arange(5, dtype=np.int32)[None]
    assert not fit().score(history, items).any()
    scores = fit(features={"tags": 2.0}).score(history, items)[0]
    assert scores[4] > 0.1
    assert np.abs(np.delete(scores, [2, 4])).max() < 1e-6


def test_a_column_that_holds_no_labels_is_refused():
    with pytest.raises(ValueError, match=r"features: mood is no column of labels; choose from: tags, era"):
        fit(features={"mood": 1.0})


def test_other_models_do_not_read_labels():
    with pytest.raises(ValueError, match="features means nothing to item_knn; it is a setting of ease"):
        NeighborsConfig(model="item_knn", features={"tags": 1.0})
