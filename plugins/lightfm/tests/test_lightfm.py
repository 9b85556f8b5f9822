"""What is served: LightFM's own scores, newcomers by their features, and histories folded in."""

from dataclasses import replace
from unittest import mock

import lightfm
import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Profile, Queries, Ragged, Serves
from cuvee.testing import checkerboard, two_tribes
from cuvee_lightfm import LightFMConfig, LightFMRecommender, training
from pydantic import ValidationError
from scipy import sparse

SMALL = {"components": 16}


def why(model, queries, item):
    (word,) = model.explain(queries, np.zeros(1, np.int32), np.asarray([item], np.int32))
    return word


def fit(data, progress=None, **settings):
    config = LightFMConfig(**{**SMALL, **settings})
    return LightFMRecommender.fit(data, config, progress or (lambda done, total, note="": None))


def ask(*rows, weights=None, **more):
    return Queries.build(Histories.build(rows, weights), **more)


def score(model, queries, items):
    return model.score(queries, np.tile(np.asarray(items, np.int32), (len(queries), 1)))


@pytest.fixture(scope="module")
def toy():
    return two_tribes()


@pytest.fixture(scope="module")
def model(toy):
    return fit(toy.data)


def with_ids(features):
    ids = sparse.eye_array(features.shape[0], dtype=np.float32)
    return sparse.csr_matrix(sparse.hstack([ids, features], dtype=np.float32))


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic", "warp-kos"])
@pytest.mark.parametrize("names", [None, ()], ids=["with features", "without"])
def test_served_from_factors_equals_predict(toy, loss, names):
    models = []

    class Kept(lightfm.LightFM):
        def __init__(self, **settings):
            super().__init__(**settings)
            models.append(self)

    with mock.patch.object(training, "LightFM", Kept):
        recommender = fit(toy.data, loss=loss, fold_in="newer", user_features=names, item_features=names)
    users, items = recommender.factors.users, recommender.factors.items
    who, what = (np.flatnonzero(half.fitted).astype(np.int32) for half in (users, items))
    predicted = models[0].predict(
        np.repeat(who, len(what)),
        np.tile(what, len(who)),
        user_features=with_ids(users.features.of_entities(toy.data.catalog.users)),
        item_features=with_ids(items.features.of_entities(toy.data.catalog.items)),
    )
    # once with all items at a time, once with few
    queries = Queries.build(toy.data.histories(who), users=who)
    for part in (what, what[:9]):
        served = score(recommender, queries, part)
        np.testing.assert_allclose(served, predicted.reshape(len(who), -1)[:, : len(part)], atol=1e-5)


@pytest.mark.parametrize("fold_in", ["always", "newer"])
def test_a_strangers_clicks_put_his_tribes_unseen_hits_on_top(toy, fold_in):
    recommender = fit(toy.data, fold_in=fold_in)
    for tribe in (0, 1):
        clicks = [tribe + 2 * n for n in (1, 4, 7)]  # none of them a hit
        top = recommender.candidates(ask(clicks, excluded=Ragged.of([clicks])), 10).items[0]
        assert (top % 2 == tribe).mean() >= 0.9


def test_one_click_changes_the_answer_of_a_known_user(toy, model):
    user = 0
    stored = toy.data.histories([user])
    other = 1 - int(np.median(stored.items % 2))
    more = Histories.build([[*stored.items.tolist(), other, other + 2]])
    before, after = (score(model, Queries.build(h, users=[user]), range(120))[0] for h in (stored, more))
    moved = after - before
    assert moved[other::2].mean() > moved[1 - other :: 2].mean()


def test_newer_serves_what_was_fitted_until_there_is_something_newer(toy):
    recommender = fit(toy.data, fold_in="newer")
    stored = toy.data.histories([0])
    fitted = score(recommender, ask([], users=[0]), range(120))
    np.testing.assert_array_equal(fitted, score(recommender, Queries.build(stored, users=[0]), range(120)))
    newer = Histories(
        np.array([0, len(stored.items) + 1]),
        np.append(stored.items, 3).astype(np.int32),
        np.append(stored.weights, 1).astype(np.float32),
        np.append(stored.times, stored.times[-1] + 60),
    )
    assert not np.array_equal(fitted, score(recommender, Queries.build(newer, users=[0]), range(120)))


def test_recency_zero_is_the_fitted_direction(toy):
    """A user's factors have the length of an average user's, however many events he has."""
    recommender = fit(toy.data, recency=0)
    plain, folded = (recommender.user_vectors(ask(row, users=[0]))[0, :-1] for row in ([], [3, 5]))
    cosine = plain @ folded / np.linalg.norm(plain) / np.linalg.norm(folded)
    assert cosine == pytest.approx(1, abs=1e-5)


def test_the_newest_click_counts_most(toy, model):
    even_last, odd_last = score(model, ask([1, 3, 0, 2], [0, 2, 1, 3]), range(120))
    assert even_last[::2].mean() > odd_last[::2].mean()


def test_what_was_not_liked_and_what_is_unknown_change_nothing(toy, model):
    noisy = ask([1, 3, 0, 200], weights=[[1.0, 1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(score(model, ask([1, 3]), range(120)), score(model, noisy, range(120)))


def test_a_cold_users_profile_and_interests_tell_his_tribe(toy, model):
    for tribe in (0, 1):
        occupation, genre = (("artist", "farmer")[tribe], ("Comedy", "Western")[tribe])
        for profile in (
            Profile({"occupation": occupation, "age": (25.0, 50.0)[tribe]}),
            Profile({}, {"genres": (genre,)}),
            Profile({"occupation": occupation}, {"genres": (genre,), "no such column": ("x",)}),
        ):
            top = model.candidates(ask([], profiles=[profile]), 10).items[0]
            assert (top % 2 == tribe).mean() >= 0.7, profile


def test_a_strangers_scores_are_those_of_his_features_embeddings_alone(toy, model):
    """LightFM's own arithmetic: the sum of embeddings, an average id in the place of the missing one."""
    told = Profile({"occupation": "farmer", "age": 50.0, "shoe size": 43.0})
    users, items = model.factors.users, model.factors.catalog_items
    rows = users.features.matrix([told.attributes]).toarray()[0]
    assert (rows > 0).sum() == 2, "both columns that are known, and no other"
    vector = users.average + rows @ users.embeddings
    expected = items[:, :-1] @ vector[:-1] + items[:, -1] + vector[-1]
    np.testing.assert_allclose(score(model, ask([], profiles=[told]), range(120))[0], expected, rtol=1e-4, atol=1e-5)
    # a user who is newer than the model, but whose columns are stored, is no other case
    newer = ask([], profiles=[told], users=[toy.data.n_users])
    np.testing.assert_allclose(score(model, newer, range(120))[0], expected, rtol=1e-4, atol=1e-5)


def test_new_items_are_served_by_their_features(toy, model, tmp_path):
    model.save(tmp_path)
    grown = LightFMRecommender.load(tmp_path, model.config, toy.grown)
    assert Serves.COLD_ITEM in grown.serves
    new = np.arange(120, 126)
    even, odd = score(grown, ask([0, 2, 4, 6, 8], [1, 3, 5, 7, 9]), new)
    assert even[new % 2 == 0].mean() - odd[new % 2 == 0].mean() > 0
    assert odd[new % 2 == 1].mean() - even[new % 2 == 1].mean() > 0
    # a click on a new item counts too
    assert not np.array_equal(score(grown, ask([0]), range(120)), score(grown, ask([0, 121]), range(120)))


def test_items_without_likes_are_newcomers_not_losers(toy):
    """Items without likes are not drawn as negatives, which would push them away from everybody."""
    data = toy.data
    without = data.where(data.events.items != 6)
    recommender = fit(without)
    assert not recommender.factors.items.fitted[6]
    expected = recommender.factors.items.newcomers(
        recommender.factors.items.features.of_entities(data.catalog.items)[[6]]
    )
    np.testing.assert_array_equal(recommender.factors.catalog_items[[6]], expected)
    bare = fit(without, item_features=())
    assert Serves.COLD_ITEM not in bare.serves
    assert np.isnan(score(bare, ask([0]), [6])).all()
    assert 6 not in bare.candidates(ask([0]), 120).items


@pytest.mark.parametrize("names", [None, ()], ids=["with columns", "without"])
def test_items_without_likes_are_mapped_too_and_follow_their_columns(toy, tmp_path, names):
    kept = fit(toy.data.where(toy.data.events.items != 6), item_features=names)
    kept.save(tmp_path)
    catalog = toy.data.catalog
    mapped = LightFMRecommender.load(tmp_path, kept.config, catalog).factors.catalog_items
    assert not mapped.flags.writeable, "it was copied"
    np.testing.assert_array_equal(mapped, kept.factors.catalog_items)
    # item 6 gets the columns of item 7
    frame, roles = catalog.items.frame, catalog.items.roles
    told = frame.slice(7, 1).with_columns(frame.slice(6, 1)["id"])
    changed = Catalog(catalog.items.upsert(told, roles), catalog.users)
    anew = LightFMRecommender.load(tmp_path, kept.config, changed).factors.catalog_items
    assert np.array_equal(anew[6], mapped[6], equal_nan=True) == (names == ())
    np.testing.assert_array_equal(np.delete(anew, 6, axis=0), np.delete(mapped, 6, axis=0))


def test_equal_seeds_give_equal_models(toy, model):
    again = fit(toy.data)
    other = fit(toy.data, seed=1)
    np.testing.assert_array_equal(model.factors.catalog_items, again.factors.catalog_items)
    np.testing.assert_array_equal(model.factors.users.table, again.factors.users.table)
    assert not np.array_equal(model.factors.catalog_items, other.factors.catalog_items)


def test_only_arrays_are_saved(model, toy, tmp_path):
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}
    loaded = LightFMRecommender.load(tmp_path, model.config, toy.data.catalog)
    assert not loaded.factors.users.table.flags.writeable
    np.testing.assert_array_equal(score(model, ask([0, 2]), range(120)), score(loaded, ask([0, 2]), range(120)))


def test_progress_is_told_after_every_epoch(toy):
    told = []
    fit(toy.data, progress=lambda done, total, note="": told.append((done, total, note)), epochs=3)
    assert told == [(1, 3, "epoch 1"), (2, 3, "epoch 2"), (3, 3, "epoch 3")]


def test_a_reason_names_the_nearest_liked_item(toy, model):
    titles = toy.data.catalog.items.frame["title"]
    reason = why(model, ask([1, 8]), 6)
    assert reason == f"close to {titles[8]}, which you liked"
    assert why(model, ask([6]), 6) is None
    assert why(model, ask([8], weights=[[0.0]]), 6) is None
    assert why(model, ask([]), 6) is None


def test_weights_of_likes_are_heard(toy):
    data = toy.data
    louder = replace(data, events=replace(data.events, weights=data.events.weights * (1 + data.events.items % 3)))
    assert not np.array_equal(fit(data).factors.catalog_items, fit(louder).factors.catalog_items)


def test_blocks_equal_one_piece(toy, model, monkeypatch):
    queries = Queries.build(toy.data.events, users=np.arange(toy.data.n_users))
    whole, few = score(model, queries, range(120)), score(model, queries, range(5))
    top = model.candidates(queries, 5)
    queries = queries.select(np.arange(len(queries)))  # a batch of its own, for which nothing was made yet
    np.testing.assert_allclose(whole, score(model, queries, range(120)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(few, score(model, queries, range(5)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(top.scores, model.candidates(queries, 5).scores, rtol=1e-4)


def test_a_catalogue_of_ids_alone_works():
    data = checkerboard().data
    bare = Dataset(
        Catalog(Entities.of_ids(data.catalog.items.frame["id"]), Entities.of_ids(data.catalog.users.frame["id"])),
        data.events,
    )
    recommender = fit(bare)
    assert Serves.COLD_ITEM not in recommender.serves
    top = recommender.candidates(ask([0, 2, 4], excluded=Ragged.of([[0, 2, 4]])), 10).items[0]
    assert (top % 2 == 0).all()
    assert why(recommender, ask([2]), 8) == "close to square-2, which you liked"


def test_no_events_no_opinion():
    data = checkerboard().data
    recommender = fit(data.where(np.zeros(len(data), np.bool_)), item_features=())
    assert np.isnan(score(recommender, ask([0], []), range(40))).all()
    assert (recommender.candidates(ask([0], []), 5).items == -1).all()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"loss": "warped"}, "loss"),
        ({"components": 0}, "components"),
        ({"recency": 1.5}, "recency"),
        ({"half_life": 0}, "half_life"),
        ({"fold_in": "sometimes"}, "fold_in"),
    ],
)
def test_nonsense_is_refused(settings, word):
    with pytest.raises(ValidationError, match=word):
        LightFMConfig(**settings)


def test_half_life_may_be_none_in_toml():
    assert LightFMConfig.model_validate({"half_life": "none"}).half_life is None


def test_a_column_that_is_no_feature_is_refused(toy):
    with pytest.raises(
        ValueError, match=r"item_features: title is no category, number or flag .* choose from: genres, year"
    ):
        fit(toy.data, item_features=("title",))
