"""Which opinions the recommender has, and where it has none."""

from dataclasses import replace

import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Queries, Ragged, Serves
from cuvee.testing import chain, checkerboard
from cuvee_neighbors import Neighbors, NeighborsConfig
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

MODELS = ("ease", "item_knn", "user_knn", "transitions")


def fit(data, **settings):
    return Neighbors.fit(data, NeighborsConfig(**settings), lambda done, total, note="": None)


def ask(*rows, weights=None, **more):
    return Queries.build(Histories.build(rows, weights), **more)


def why(model, queries, item):
    (word,) = model.explain(queries, np.zeros(1, np.int32), np.asarray([item], np.int32))
    return word


def score(model, queries, *items):
    return model.score(queries, np.tile(np.array(items, np.int32), (len(queries), 1)))


@pytest.fixture(scope="module")
def board():
    """The checkerboard toy with one more item, whose only event is a dislike."""
    toy = checkerboard()
    data = toy.data
    items = Entities.of(toy.grown.items.frame.head(data.n_items + 1), toy.grown.items.roles)
    events = data.events
    return Dataset.build(
        Catalog(items, data.catalog.users),
        np.append(data.users, 0),
        np.append(events.items, data.n_items),
        np.append(events.times, 0.0),
        np.append(events.weights, 0.0),
    )


@pytest.mark.parametrize("model", ["ease", "item_knn", "user_knn"])
def test_a_history_of_one_colour_puts_that_colour_on_top(board, model):
    queries = ask([0, 2, 4], [1, 3, 5], excluded=Ragged.of([[0, 2, 4], [1, 3, 5]]))
    top = fit(board, model=model).candidates(queries, 10).items
    assert (top[0] % 2 == 0).all()
    assert (top[1] % 2 == 1).all()


def test_transitions_say_what_comes_next():
    toy = chain()
    top = fit(toy.data, model="transitions").candidates(ask([9, 10, 11], excluded=Ragged.of([[9, 10, 11]])), 3)
    assert top.items[0, 0] == 12
    assert fit(toy.data, model="transitions").candidates(ask([11, 10, 9]), 1).items[0, 0] in {10, 11}


@pytest.mark.parametrize("model", MODELS)
def test_nothing_to_go_by_is_no_opinion(board, model):
    recommender = fit(board, model=model)
    new, disliked = board.n_items + 3, board.n_items - 1
    queries = ask([], [new], [disliked], [0, 2], weights=[[], [1.0], [1.0], [0.0, 0.0]])
    assert np.isnan(score(recommender, queries, 0, 1, 2)).all()
    assert (recommender.candidates(queries, 5).items == -1).all()
    assert why(recommender, queries.select([0]), 2) is None


@pytest.mark.parametrize("model", MODELS)
def test_new_and_unliked_items_are_no_opinion_and_no_evidence_is_zero(board, model):
    recommender = fit(board, model=model)
    scores = score(recommender, ask([0, 2]), -1, board.n_items - 1, board.n_items, 4)[0]
    assert np.isnan(scores[:3]).all()
    assert np.isfinite(scores[3])
    if model != "ease":
        assert score(recommender, ask([0, 2]), 1)[0, 0] == 0


@pytest.mark.parametrize("model", MODELS)
def test_events_the_model_cannot_use_change_nothing(board, model):
    recommender = fit(board, model=model, half_life=0.5)
    plain = score(recommender, ask([0, 6]), *range(40))
    # two thousand half-lives would leave nothing of item 0 and 6
    noisy = ask([0, *[board.n_items + 1] * 1000, 6, *[3] * 1000], weights=[[1.0] * 1002 + [0.0] * 1000])
    np.testing.assert_array_equal(plain, score(recommender, noisy, *range(40)))


def test_the_newest_event_counts_most(board):
    recommender = fit(board, model="item_knn", half_life=1)
    black_last, white_last = score(recommender, ask([1, 3, 0], [0, 2, 1]), 4)[:, 0]
    assert black_last > white_last
    no_decay = fit(board, model="item_knn", half_life=None)
    forth, back = score(no_decay, ask([0, 1, 2], [2, 1, 0]), 4)[:, 0]
    assert forth == pytest.approx(back)


@pytest.mark.parametrize("model", MODELS)
def test_the_size_of_weights_does_not_matter(board, model):
    recommender = fit(board, model=model)
    one, ten = score(recommender, ask([0, 2, 4], [0, 2, 4], weights=[[0.1, 0.2, 0.1], [1, 2, 1]]), *range(20))
    np.testing.assert_allclose(one, ten, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("ease", "because you liked black square 2"),
        ("item_knn", "because you liked black square 2"),
        ("user_knn", "liked by others who liked black square 2"),
        ("transitions", "often chosen after black square 2"),
    ],
)
def test_a_reason_names_the_title_that_weighs_most(board, model, reason):
    assert why(fit(board, model=model), ask([1, 3, 2]), 8) == reason


def test_a_reason_without_titles_names_the_id():
    data = chain().data
    bare = replace(data, catalog=Catalog(Entities.of_ids(data.catalog.items.frame["id"].to_list()), data.catalog.users))
    assert why(fit(bare, model="transitions"), ask([7]), 8) == "often chosen after stone-7"


def test_names_reach_the_reasons_of_a_loaded_model(board, tmp_path):
    fit(board).save(tmp_path)
    loaded = Neighbors.load(tmp_path, NeighborsConfig(), board.catalog)
    assert why(loaded, ask([2]), 8) == "because you liked black square 2"
    assert loaded.serves == Serves.SESSION


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_equals_single_rows(board, model):
    recommender = fit(board, model=model)
    queries = Queries.build(board.events, users=np.arange(board.n_users))
    items = np.tile(np.arange(40, dtype=np.int32), (len(queries), 1))
    whole, top = recommender.score(queries, items), recommender.candidates(queries, 5)
    for b in range(len(queries)):
        alone = queries.select([b])
        np.testing.assert_allclose(whole[[b]], recommender.score(alone, items[[b]]), rtol=1e-6)
        np.testing.assert_array_equal(top.items[[b]], recommender.candidates(alone, 5).items)


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), min_size=1, max_size=5), st.integers(0, 3))
def test_candidates_are_the_best_scores(rows, which):
    recommender = _fitted(MODELS[which])
    queries = ask(*rows)
    scores = score(recommender, queries, *range(40))
    best = recommender.candidates(queries, 5)
    for b in range(len(rows)):
        expected = np.sort(scores[b][scores[b] > 0])[::-1][:5]
        found = best.scores[b][best.items[b] >= 0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


_MODELS = {}


def _fitted(model):
    if model not in _MODELS:
        _MODELS[model] = fit(checkerboard().data, model=model)
    return _MODELS[model]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"model": "item_knn", "l2": 3}, "l2 means nothing to item_knn; it is a setting of ease"),
        ({"model": "ease", "window": 3}, "window means nothing to ease; it is a setting of transitions"),
        ({"model": "transitions", "similarity": "jaccard"}, "similarity means nothing to transitions"),
        ({"half_life": 0}, "greater than 0"),
        ({"half_life": "soon"}, "half_life"),
        ({"model": "transitions", "power": 2}, "less than or equal to 1"),
        ({"model": "deep"}, "model"),
    ],
)
def test_nonsense_is_refused(settings, word):
    with pytest.raises(ValidationError, match=word):
        NeighborsConfig(**settings)


def test_half_life_may_be_none_in_toml():
    assert NeighborsConfig.model_validate({"half_life": "none"}).half_life is None
    assert NeighborsConfig(model="transitions").half_life == 2
    assert NeighborsConfig(model="user_knn").neighbours == 50


@pytest.mark.parametrize("more", [{"near": 5.0}, {"features": {"genres": 2.0}}], ids=["near", "features"])
def test_ease_of_pairs_that_are_not_counted_needs_the_exact_matrix(board, more):
    with pytest.raises(ValueError, match="raise exact_items to 41, or leave them out"):
        fit(board, exact_items=40, **more)
