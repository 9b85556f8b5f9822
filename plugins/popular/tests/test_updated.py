"""A model that is updated with all events since its fit equals one that is fitted on all of them."""

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Profile, Queries, Role
from cuvee.recommender import Activity
from cuvee_popular import Popular, PopularConfig
from cuvee_popular.popularity import DAY
from hypothesis import given
from hypothesis import strategies as st

NOW = 1e9
JOBS = ("artist", "farmer", None)
PEOPLE = Entities.of(
    pl.DataFrame({"id": [f"u{n}" for n in range(6)], "job": [JOBS[n % 3] for n in range(6)]}), {"job": Role.CATEGORY}
)
ITEMS = 5
PROFILES = tuple(Profile({} if job is None else {"job": job}) for job in JOBS)
SPEECHLESS = lambda done, total, note="": None  # noqa: E731

CONFIGS = (
    {"count": "events"},
    {"count": "events", "half_life": "none", "segments": ()},
    {"count": "events", "half_life": 3, "trending": 1.0, "window": 5, "smoothing": 2},
)
events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, ITEMS - 1), st.floats(0, 20), st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    max_size=30,
)


def dataset(rows):
    """Rows are (user, item, days before NOW, weight)."""
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(ITEMS)), PEOPLE)
    return Dataset.build(catalog, columns[0], columns[1], [NOW - DAY * d for d in columns[2]], columns[3])


def since(rows):
    users, items, days, weights = list(zip(*rows, strict=True)) or [[], [], [], []]
    return Activity(
        np.array(items, np.int32),
        np.array(weights, np.float32),
        NOW - DAY * np.array(days, np.float64),
        np.array([u % 3 for u in users], np.int32),
        PROFILES,
    )


def fit(rows, config):
    return Popular.fit(dataset(rows), PopularConfig(**config), SPEECHLESS)


def scores(model, n=ITEMS):
    queries = Queries.build(Histories.build([[]] * len(PROFILES)), profiles=PROFILES)
    return model.score(queries, np.tile(np.arange(n, dtype=np.int32), (len(PROFILES), 1)))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@given(before=events, later=events, more=events)
def test_updated_is_fitted_on_all(config, before, later, more):
    expected = scores(fit(before + later + more, config))
    model = fit(before, config)
    twice = model.updated(since(later)).updated(since(later + more))
    assert scores(twice) == pytest.approx(expected, abs=2e-4, nan_ok=True)
    assert scores(model.updated(since([]))) == pytest.approx(scores(model), abs=1e-6, nan_ok=True)


@given(before=events, later=events)
def test_what_is_taken_back_was_never_there(before, later):
    config = CONFIGS[2]
    back = [(user, item, days, -weight) for user, item, days, weight in later + before]
    model = fit(before, config).updated(since(later + back))
    assert np.isnan(scores(model)).all()


def test_a_burst_lifts_an_item_and_time_takes_it_down():
    model = fit([(0, 0, 9, 1.0)] * 20 + [(1, 1, 9, 1.0)] * 5, {"half_life": 1.0})
    assert np.nanargmax(scores(model)[2]) == 0
    burst = [(2, 1, 0, 1.0)] * 10
    assert np.nanargmax(scores(model.updated(since(burst)))[2]) == 1
    # ten half-lives later a single purchase says more than all of the burst
    later = [(2, 2, -10, 1.0)]
    assert np.nanargmax(scores(model.updated(since(burst + later)))[2]) == 2


def test_only_the_segment_that_buys_gets_the_lift():
    before = [(user, item, 1, 1.0) for user in (0, 1) for item in (0, 1)] * 10
    model = fit(before, {"half_life": "none", "smoothing": 1.0})
    bought = [(0, 1, 0, 1.0)] * 50
    artist, farmer, _ = scores(model.updated(since(bought)))
    assert artist[1] - artist[0] > farmer[1] - farmer[0]


def test_a_new_item_has_a_share_as_soon_as_somebody_wants_it():
    model = fit([(0, 0, 1, 1.0)] * 3, {})
    new = since([(0, 0, 0, 1.0)] * 4)
    grown = model.updated(Activity(new.items + ITEMS, new.weights, new.times, new.people, new.profiles))
    assert np.isnan(scores(model, ITEMS + 2)[2, ITEMS:]).all()
    got = scores(grown, ITEMS + 2)[2]
    assert np.nanargmax(got) == ITEMS
    assert np.isnan(got[ITEMS + 1])


def test_the_model_that_was_updated_answers_as_before():
    model = fit([(0, 0, 1, 1.0)] * 3, CONFIGS[2])
    before = scores(model)
    model.updated(since([(1, 1, 0, 1.0)] * 9))
    assert scores(model).tobytes() == before.tobytes()
