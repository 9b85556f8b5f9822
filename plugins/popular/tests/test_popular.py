"""What popular promises, on data whose right answer is known."""

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Profile, Queries, Ragged
from cuvee_popular import Popular, PopularConfig
from cuvee_popular.popularity import DAY

NOW = 1e9
SPEECHLESS = lambda done, total, note="": None  # noqa: E731


def why(model, queries, item):
    (word,) = model.explain(queries, np.zeros(1, np.int32), np.asarray([item], np.int32))
    return word


def dataset(events, users=None, n_items=4):
    """Events are (user, item, days before NOW[, weight])."""
    users = users if users is not None else Entities.of_ids(f"u{n}" for n in range(1 + max(e[0] for e in events)))
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(n_items)), users)
    return Dataset.build(
        catalog,
        [e[0] for e in events],
        [e[1] for e in events],
        [NOW - DAY * e[2] for e in events],
        [e[3] if len(e) > 3 else 1.0 for e in events],
    )


def fit(data, **config):
    return Popular.fit(data, PopularConfig(**config), SPEECHLESS)


def ask(*profiles, **kw):
    return Queries.build(Histories.build([[]] * len(profiles)), profiles=profiles, **kw)


def scores(model, profile=None, n=4):
    return model.score(ask(profile or Profile()), np.arange(n, dtype=np.int32)[None])[0]


PEOPLE = Entities.of(
    pl.DataFrame(
        {
            "id": [f"u{n}" for n in range(200)],
            "job": ["artist", "farmer"] * 100,
            "age": [20.0 if n < 100 else 50.0 for n in range(200)],
        }
    )
)


def tribes():
    """Everyone takes item 0; artists also 1, farmers 2; the young of both also 3."""
    events = [(u, 0, 1) for u in range(200)]
    events += [(u, 1 + u % 2, 2) for u in range(200)]
    events += [(u, 3, 3) for u in range(100)]
    return dataset(events, PEOPLE)


def test_plain_counts_are_log_shares():
    data = dataset([(0, 0, 5), (1, 0, 4), (2, 0, 3), (3, 1, 0)])
    got = scores(fit(data, half_life=None))
    assert got[:2] == pytest.approx(np.log([3 / 4, 1 / 4]), abs=1e-6)
    assert np.isnan(got[2:]).all()


def test_decay_turns_the_order():
    data = dataset([(0, 0, 100), (1, 0, 100), (2, 0, 100), (3, 1, 0)])
    assert fit(data, half_life=1000).candidates(ask(Profile()), 2).items.tolist() == [[0, 1]]
    assert fit(data, half_life=10).candidates(ask(Profile()), 2).items.tolist() == [[1, 0]]


def test_one_half_life_halves():
    data = dataset([(n, 0, 30) for n in range(1000)] + [(n, 1, 0) for n in range(1000)])
    got = scores(fit(data, half_life=30))
    assert got[1] - got[0] == pytest.approx(np.log(2), abs=2e-3)


def test_items_long_gone_stay_finite_and_in_order():
    data = dataset([(0, 0, 1e5), (1, 1, 1e5), (2, 1, 1e5), (3, 2, 0)])
    got = scores(fit(data, half_life=0.01))
    assert np.isfinite(got[:3]).all()
    assert got[2] > got[1] > got[0]


def test_the_present_is_the_last_event_not_the_clock():
    model = fit(dataset([(0, 0, 100), (1, 1, 0)]), half_life=1)
    early, late = (model.candidates(ask(Profile(), now=now), 2).scores for now in (0.0, 5e9))
    assert np.array_equal(early, late)


def test_dislikes_do_not_count():
    got = scores(fit(dataset([(0, 0, 1), (1, 1, 1, 0.0), (2, 1, 1, 0.0)])))
    assert np.isfinite(got[0])
    assert np.isnan(got[1])


def test_segments_move_the_list():
    model = fit(tribes())
    artist, farmer = Profile({"job": "artist"}), Profile({"job": "farmer"})
    assert model.candidates(ask(artist, farmer), 2).items.tolist() == [[0, 1], [0, 2]]
    young, old = scores(model, Profile({"age": 19.0})), scores(model, Profile({"age": 61.0}))
    assert young[3] > young[1]
    assert old[3] < old[1]
    both = scores(model, Profile({"job": "artist", "age": 19.0}))
    plain = scores(model)
    assert both - plain == pytest.approx((scores(model, artist) - plain) + (young - plain), abs=1e-5)


def test_small_segments_shrink_to_the_whole():
    model = fit(tribes(), smoothing=1e6)
    assert scores(model, Profile({"job": "artist"})) == pytest.approx(scores(model), abs=1e-3)


def test_profiles_that_match_nothing_are_passed_over():
    model = fit(tribes())
    for profile in (
        Profile({"job": "astronaut", "age": "old", "shoe size": 43.0}),
        Profile({"age": float("nan"), "job": ("artist",)}),
        Profile({}, {"genres": ("Drama",)}),
    ):
        assert np.array_equal(scores(model, profile), scores(model))


def test_trend_lifts_what_rises():
    events = [(u, 0, 10 + u % 300) for u in range(150)] + [(u, 1, u % 7) for u in range(50)] + [(151, 0, 0)]
    data = dataset(events)
    plain, rising = fit(data, half_life=None), fit(data, half_life=None, trending=2.0)
    assert plain.candidates(ask(Profile()), 2).items.tolist() == [[0, 1]]
    assert rising.candidates(ask(Profile()), 2).items.tolist() == [[1, 0]]
    assert why(rising, ask(Profile()), 1) == "rising"


def test_explanations():
    model = fit(tribes(), words={"job": "{}s"})
    artist = ask(Profile({"job": "artist", "age": 20.0}))
    assert why(model, artist, 1) == "popular with artists"
    assert why(model, artist, 3) == "popular with users aged 18-24"
    assert why(model, artist, 0) == "popular now"
    assert why(fit(tribes(), half_life="none"), artist, 1) == "popular with users of job artist"
    assert why(fit(tribes(), half_life=None), ask(Profile()), 0) == "popular"
    assert why(model, artist, 99) is None


def test_segments_read_as_a_phrase():
    config = PopularConfig(words={"job": "{}s"})
    assert config.describe([("gender", "F"), ("age", "25-34"), ("job", "artist")]) == "artists aged 25-34 of gender F"


def test_what_is_excluded_or_not_eligible_is_not_proposed():
    model = fit(tribes())
    queries = ask(Profile(), Profile(), excluded=Ragged.of([[0], []]), eligible=np.array([True, True, False, True]))
    got = model.candidates(queries, 9)
    assert 0 not in got.items[0]
    assert 0 in got.items[1]
    assert 2 not in got.items


def test_more_rows_than_a_block_equal_single_rows():
    model = fit(tribes())
    profiles = [Profile({"age": float(n % 80)}) for n in range(600)]
    got = model.candidates(ask(*profiles), 3)
    for row in (0, 255, 256, 599):
        alone = model.candidates(ask(profiles[row]), 3)
        assert np.array_equal(got.items[row], alone.items[0])
        assert np.array_equal(got.scores[row], alone.scores[0])


def test_no_events_means_no_opinion():
    data = dataset([(0, 0, 0)]).where(np.zeros(1, bool))
    for config in ({}, {"trending": 1.0}):
        model = fit(data, **config)
        assert np.isnan(scores(model)).all()
        assert (model.candidates(ask(Profile()), 3).items == -1).all()
        assert why(model, ask(Profile()), 0) is None


def test_saved_equals_fitted_to_the_bit(tmp_path):
    data = tribes()
    config = PopularConfig(trending=0.5)
    model = Popular.fit(data, config, SPEECHLESS)
    model.save(tmp_path)
    grown = Catalog(Entities.of_ids(f"i{n}" for n in range(6)), data.catalog.users)
    loaded = Popular.load(tmp_path, config, grown)
    artist = Profile({"job": "artist", "age": 44.0})
    assert scores(loaded, artist).tobytes() == scores(model, artist).tobytes()
    assert np.isnan(scores(loaded, artist, n=6)[4:]).all()
    assert loaded.segments == model.segments
    assert {p.suffix for p in tmp_path.iterdir()} == {".npy", ".json"}


def test_number_columns_without_edges_are_cut_into_fifths():
    users = Entities.of(pl.DataFrame({"id": [f"u{n}" for n in range(200)], "income": np.arange(200.0)}))
    (column,) = fit(dataset([(u, 0, 0) for u in range(200)], users)).segments.columns
    assert len(column.labels) == 5
    assert [column.code(v) for v in (-5, 39, 41, 250)] == [0, 0, 1, 4]


def test_one_value_for_all_is_no_segment():
    users = Entities.of(
        pl.DataFrame({"id": ["a", "b"], "income": [7.0, 7.0], "empty": pl.Series([None, None], dtype=pl.Float64)})
    )
    assert fit(dataset([(0, 0, 0), (1, 1, 0)], users)).segments.columns == ()


def test_a_wrong_column_says_what_to_choose_from():
    with pytest.raises(ValueError, match="shoe is no category or number of the users; choose from: job, age"):
        fit(tribes(), segments=("shoe",))


@pytest.mark.parametrize(
    "wrong", [{"half_life": 0}, {"bins": {"age": (30, 20)}}, {"bins": {"age": ()}}, {"halflife": 1}]
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PopularConfig(**wrong)
