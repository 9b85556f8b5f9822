"""What content promises, on a small shelf of films whose right answers are known."""

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Profile, Queries, Ragged, Role
from cuvee_content import Content, ContentConfig

SPEECHLESS = lambda done, total, note="": None  # noqa: E731

FILMS = pl.DataFrame(
    {
        "id": [f"f{n}" for n in range(8)],
        "title": ["Alien", "Aliens", "Dark City", "Night City", "Toy Farm", "Farm Days", "Loose Ends", None],
        "genres": [["SF"], ["SF", "War"], ["Noir", "SF"], ["Noir"], ["Kids"], ["Kids", "War"], [], None],
        "year": [1979.0, 1986.0, 1998.0, 1946.0, 1995.0, 1996.0, None, None],
    }
)
ROLES = {"title": Role.TEXT, "genres": Role.CATEGORIES, "year": Role.NUMBER}
NEW = pl.DataFrame({"id": ["f8"], "title": ["Shadow City"], "genres": [["Noir", "Unheard"]], "year": [2099.0]})
ALIEN, ALIENS, DARK, NIGHT, TOY, FARM, LOOSE, BLANK, SHADOW = range(9)


def dataset(frame=FILMS, roles=ROLES):
    return Dataset.build(Catalog(Entities.of(frame, roles), Entities.of_ids(["u"])), [0], [0])


def fit(data=None, **config):
    return Content.fit(data or dataset(), ContentConfig(**config), SPEECHLESS)


def grown(tmp_path, model=None, frame=NEW):
    model = model or fit()
    model.save(tmp_path)
    return Content.load(tmp_path, model.config, Catalog(Entities.of(FILMS, ROLES).upsert(frame), Entities.of_ids([])))


def session(*rows, **kw):
    histories = Histories.build(rows, weights=kw.pop("weights", None))
    return Queries.build(histories, excluded=Ragged.of(rows), **kw)


def wish(*interests, history=()):
    return session(*[history] * len(interests), profiles=[Profile(interests=i) for i in interests])


def why(model, queries, item):
    (word,) = model.explain(queries, np.zeros(1, np.int32), np.asarray([item], np.int32))
    return word


def scores(model, queries, n=8):
    return model.score(queries, np.tile(np.arange(n, dtype=np.int32), (len(queries), 1)))


def test_a_session_finds_its_like():
    got = fit().candidates(session([ALIEN], [NIGHT], [TOY]), 1).items[:, 0]
    assert got.tolist() == [ALIENS, DARK, FARM]


def test_recency_decides():
    model = fit(half_life=1)
    queries = session([ALIEN, TOY], [TOY, ALIEN])
    assert model.candidates(queries, 1).items[:, 0].tolist() == [FARM, ALIENS]
    level = fit(half_life=None)
    assert scores(level, queries)[0] == pytest.approx(scores(level, queries)[1], nan_ok=True, abs=1e-6)


def test_event_weights_decide_and_dislikes_do_not_count():
    model = fit(half_life=None)
    got = model.candidates(session([ALIEN, TOY], [ALIEN, TOY], weights=[[5.0, 1.0], [0.0, 1.0]]), 1).items[:, 0]
    assert got.tolist() == [ALIENS, FARM]
    assert np.isnan(scores(model, session([ALIEN], weights=[[0.0]]))).all()


def test_declared_interests_make_the_list():
    model = fit()
    got = model.candidates(wish({"genres": ("Noir",)}, {"genres": ("Kids",)}, {"title": ("alien",)}), 2).items
    assert got[0].tolist() == [NIGHT, DARK]
    assert set(got[1]) == {TOY, FARM}
    assert got[2, 0] == ALIEN


def test_interests_and_history_combine():
    model = fit(interests_weight=1.0)
    alone, both = scores(model, session([ALIEN]))[0], scores(model, wish({"genres": ("Kids",)}, history=[ALIEN]))[0]
    assert both[TOY] > alone[TOY]
    assert both[ALIENS] > both[NIGHT]
    stronger = scores(fit(interests_weight=10.0), wish({"genres": ("Kids",)}, history=[ALIEN]))[0]
    assert stronger[TOY] > stronger[ALIENS]


def test_numbers_may_be_declared():
    got = scores(fit(), wish({"year": ("1946",)}))[0]
    assert got[NIGHT] > 0
    assert got[DARK] == 0


def test_attributes_named_like_a_column_of_labels_count():
    model = fit()
    declared = session([], profiles=[Profile({"genres": ("Noir",)})])
    assert np.array_equal(scores(model, declared), scores(model, wish({"genres": ("Noir",)})), equal_nan=True)


def test_what_matches_nothing_is_passed_over():
    model = fit()
    profiles = [
        Profile({"shoe size": 43.0, "title": "Alien", "year": 1979.0}),
        Profile({"genres": True}, {"genres": ("Unheard",)}),
        Profile({}, {"no such column": ("x",), "year": ("soon",), "title": ("zzz",)}),
        Profile(),
    ]
    queries = session([], [], [], [], profiles=profiles)
    assert np.isnan(scores(model, queries)).all()
    assert (model.candidates(queries, 5).items == -1).all()
    known = Profile(interests={"genres": ("Noir", "Unheard"), "no such column": ("x",)})
    assert scores(model, session([], profiles=[known]))[0] == pytest.approx(
        scores(model, wish({"genres": ("Noir",)}))[0], nan_ok=True
    )


def test_a_new_film_stands_where_its_genre_says(tmp_path):
    model = grown(tmp_path)
    got = model.candidates(wish({"genres": ("Noir",)}), 3).items[0]
    assert set(got) == {NIGHT, SHADOW, DARK}
    near = scores(model, session([SHADOW]), 9)[0]
    assert np.nanargmax(np.where(np.arange(9) == SHADOW, np.nan, near)) in {NIGHT, DARK}
    assert near[SHADOW] == pytest.approx(np.nanmax(near))


def test_a_new_film_without_any_column_is_no_news(tmp_path):
    model = grown(tmp_path, frame=pl.DataFrame({"id": ["f8"]}))
    assert np.isnan(scores(model, session([ALIEN]), 9)[0, SHADOW])


def test_items_of_which_nothing_is_known_have_no_opinion():
    got = scores(fit(), session([ALIEN]))[0]
    assert np.isnan(got[BLANK])
    assert np.isfinite(got[LOOSE])


def test_what_is_not_known_of_an_item_does_not_help_it():
    frame = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "title": ["red", None, "red"],
            "genres": [["SF"], ["SF"], ["SF"]],
            "year": [1.0, None, 2.0],
        }
    )
    got = scores(fit(dataset(frame)), session([0]), 3)[0]
    assert got[0] > got[2] > got[1]


def test_weights_turn_columns_up_and_off():
    words, genres = fit(weights={"genres": 0.0, "year": 0.0}), fit(weights={"title": 0.0, "year": 0.0})
    assert words.candidates(session([DARK]), 1).items[0, 0] == NIGHT
    assert scores(words, session([DARK]))[0, ALIEN] == 0
    assert scores(genres, session([DARK]))[0, ALIEN] > 0
    with pytest.raises(ValueError, match="genre is no column with content; choose from: title, genres, year"):
        fit(weights={"genre": 1.0})


def test_a_score_is_the_weighted_mean_of_the_columns_cosines():
    got = scores(fit(weights={"title": 1.0, "genres": 1.0, "year": 2.0}), session([ALIEN]))[0]
    single = [
        scores(fit(weights={n: float(n == name) for n in ROLES}), session([ALIEN]))[0]
        for name in ("title", "genres", "year")
    ]
    assert got[:6] == pytest.approx(((single[0] + single[1] + 2 * single[2]) / 4)[:6], abs=1e-6)


@pytest.mark.parametrize("shape", [pl.Array(pl.Float32, 3), pl.List(pl.Float64)])
def test_ready_made_vectors(tmp_path, shape):
    vectors = [
        [1.0, 0.0, 0.0],
        [0.9, 0.1, 0.0],
        None,
        [0.0, 1.0, 0.0],
        [0.0, -1.0, 0.0],
        [np.nan, 1.0, 0.0],
        [0.0] * 3,
        None,
    ]
    frame = FILMS.with_columns(pl.Series("poster", vectors, dtype=shape))
    data = dataset(frame, {**ROLES, "poster": Role.VECTOR})
    model = fit(data, weights={"title": 0, "genres": 0, "year": 0, "poster": 1})
    got = scores(model, session([0]))[0]
    assert got[:2] == pytest.approx([1.0, 0.9 / np.hypot(0.9, 0.1)], abs=1e-6)
    assert np.isnan(got[[2, 5, 6, 7]]).all()
    assert got[3] == got[4] == 0
    assert why(model, session([0]), 1) == "like Alien, from your history"
    assert why(model, session([0]), 3) is None
    model.save(tmp_path)
    new = pl.DataFrame({"id": ["f8"], "poster": [[2.0, 0.0, 0.0]]}, schema_overrides={"poster": shape})
    later = Content.load(tmp_path, model.config, Catalog(data.catalog.items.upsert(new), data.catalog.users))
    assert later.score(session([0]), np.array([[8]], np.int32))[0, 0] == pytest.approx(1.0)


def test_reduced_words():
    model = fit(dims=3)
    assert model.space.size[1] == 3
    assert model.candidates(session([DARK]), 1).items[0, 0] == NIGHT
    assert fit(dims=5000).space.size[1] == 0  # more than there are words: nothing to reduce


def test_ngrams_and_stop_words():
    terms = fit(ngrams=(1, 2)).space.columns["title"].terms
    assert "dark city" in terms
    assert fit(min_df=3).space.columns.keys() == {"genres", "year"}  # no word is left


def test_explanations():
    model = fit(history_phrase="which you watched")
    assert why(model, session([TOY, ALIEN]), FARM) == "like Toy Farm, which you watched"
    assert why(model, session([ALIEN]), DARK) == "genre: SF"
    assert why(model, wish({"genres": ("Noir",)}), NIGHT) == "genre: Noir"
    assert why(model, wish({"year": ("1946",)}), NIGHT) == "year: around 1946"
    assert why(model, session([NIGHT]), TOY) is None
    assert why(model, session([]), ALIEN) is None
    assert why(model, session([ALIEN]), BLANK) is None
    assert why(model, session([ALIEN]), 99) is None


def test_an_item_is_not_explained_by_itself():
    assert why(fit(), session([TOY]), TOY) in {"genre: Kids", "title: toy", "title: farm"}


def test_saved_equals_fitted_to_the_bit(tmp_path):
    for at, config in enumerate(({}, {"dims": 3}, {"weights": {"title": 0.0}})):
        model = fit(**config)
        folder = tmp_path / str(at)
        folder.mkdir()
        model.save(folder)
        loaded = Content.load(folder, model.config, dataset().catalog)
        queries = wish({"genres": ("Noir",)}, {"title": ("farm",)}, history=[ALIEN, TOY])
        assert scores(loaded, queries).tobytes() == scores(model, queries).tobytes()
        assert loaded.candidates(queries, 5).items.tolist() == model.candidates(queries, 5).items.tolist()
        assert {p.suffix for p in folder.iterdir()} == {".npy", ".json"}
        assert not loaded.vectors.dense.flags.writeable  # mapped, not copied


def test_a_batch_equals_single_rows():
    model = fit()
    rows = [[n % 6, (n * 5) % 8] for n in range(40)]
    queries = session(*rows)
    whole, proposed = scores(model, queries), model.candidates(queries, 3)
    for b in (0, 7, 39):
        alone = queries.select([b])
        assert np.array_equal(scores(model, alone)[0], whole[b], equal_nan=True)
        assert model.candidates(alone, 3).items[0].tolist() == proposed.items[b].tolist()


def test_an_event_newer_than_the_model_is_passed_over():
    model = fit()
    got, alone = scores(model, session([ALIEN, 50])), scores(model, session([ALIEN]))
    assert got == pytest.approx(alone, nan_ok=True, abs=1e-6)
    assert np.isnan(scores(model, session([50]))).all()


def test_a_catalogue_without_columns_has_no_opinion(tmp_path):
    data = Dataset.build(Catalog(Entities.of_ids(["a", "b"]), Entities.of_ids(["u"])), [0], [0])
    model = fit(data)
    model.save(tmp_path)
    for one in (model, Content.load(tmp_path, model.config, data.catalog)):
        assert np.isnan(scores(one, session([0]), 2)).all()
        assert (one.candidates(session([0]), 5).items == -1).all()


@pytest.mark.parametrize(
    "wrong", [{"half_life": 0}, {"ngrams": (3, 1)}, {"weights": {"title": -1}}, {"stopwords": "english"}]
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ContentConfig(**wrong)
