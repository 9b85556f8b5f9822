"""Going through items in order of popularity finds the same list as scoring all items."""

import numpy as np
import polars as pl
import pytest
from cuvee import Candidates, Catalog, Dataset, Entities, Histories, Profile, Queries, Ragged
from cuvee_popular import Popular, PopularConfig, recommender
from hypothesis import given, settings
from hypothesis import strategies as st

N = 300
SILENT = lambda done, total, note="": None  # noqa: E731


def fitted(seed, **config):
    rng = np.random.default_rng(seed)
    users = pl.DataFrame({"id": [f"u{n}" for n in range(60)], "kind": rng.choice(list("abc"), 60).tolist()})
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(N)), Entities.of(users))
    events = 2_000
    items = np.minimum(rng.zipf(1.3, events) - 1, N - 20)  # some items have no event, many have equally many
    return Popular.fit(Dataset.build(catalog, rng.integers(0, 60, events), items), PopularConfig(**config), SILENT)


MODELS = [fitted(0), fitted(1, segment_weight=3, smoothing=0.5), fitted(2, trending=1.0), fitted(3, segments=())]


def by_scoring_everything(model, queries, k):
    every = np.broadcast_to(np.arange(N, dtype=np.int32), (len(queries), N))
    return Candidates.top(model.score(queries, every), k, queries)


@pytest.mark.parametrize("walk", [1, 16, 4_096])
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_walk_equals_scoring_everything(walk, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommender, "WALK", walk)
        patch.setattr(recommender, "LARGE", 0)
        model = data.draw(st.sampled_from(MODELS))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        b = data.draw(st.integers(1, 4))
        share = data.draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
        queries = Queries.build(
            Histories.build([[]] * b),
            profiles=[Profile({"kind": data.draw(st.sampled_from("abcd"))}) for _ in range(b)],
            excluded=Ragged.of([np.unique(rng.integers(0, N, data.draw(st.integers(0, N)))) for _ in range(b)]),
            eligible=data.draw(st.none() | st.just(rng.random(N) < share)),
        )
        k = data.draw(st.sampled_from([1, 7, 100, N + 5]))
        found, exact = model.candidates(queries, k), by_scoring_everything(model, queries, k)
        np.testing.assert_array_equal(found.items, exact.items)
        np.testing.assert_array_equal(found.scores, exact.scores)


def test_a_request_looks_at_the_top_alone(monkeypatch):
    model, looked = MODELS[0], []
    monkeypatch.setattr(recommender, "WALK", 20)
    monkeypatch.setattr(recommender, "LARGE", 0)
    score = Popular._at
    monkeypatch.setattr(Popular, "_at", lambda self, q, items: looked.append(items.shape[1]) or score(self, q, items))
    model.candidates(Queries.build(Histories.build([[]])), 5)
    assert looked == [20]
