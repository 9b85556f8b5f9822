"""The index of a large catalogue finds what an exact search of all items finds."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Queries, Ragged, Role
from cuvee_content import Content, ContentConfig

N = 6_000
SILENT = lambda done, total, note="": None  # noqa: E731
ROLES = {"title": Role.TEXT, "genres": Role.CATEGORIES, "year": Role.NUMBER, "look": Role.VECTOR}


def shop(n, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 30, n)
    frame = pl.DataFrame(
        {
            "id": [f"i{at}" for at in range(n)],
            "title": [f"word{k} word{w} word{v}" for k, w, v in zip(kind, *rng.integers(0, 300, (2, n)), strict=True)],
            "genres": [[f"g{k % 12}", f"g{g}"] for k, g in zip(kind, rng.integers(0, 12, n), strict=True)],
            "year": (1970 + kind + rng.integers(0, 5, n)).astype(float),
            "look": (np.eye(30)[kind] + rng.normal(0, 0.3, (n, 30))).astype(np.float32),
        },
        schema_overrides={"look": pl.Array(pl.Float32, 30)},
    )
    return Entities.of(frame, ROLES)


@pytest.fixture(scope="module", params=[True, False], ids=["dense too", "sparse alone"])
def models(request):
    items = shop(N)
    rng = np.random.default_rng(1)
    users = rng.integers(0, 200, 2_000)
    data = Dataset.build(Catalog(items, Entities.of_ids(f"u{n}" for n in range(200))), users, rng.integers(0, N, 2_000))
    weights = {"look": 1.0 if request.param else 0.0}
    found = Content.fit(data, ContentConfig(index_above=100, weights=weights), SILENT)
    return data, found, replace(found, index=None)


def asked(b=20, seed=2, **restrictions):
    rng = np.random.default_rng(seed)
    return Queries.build(Histories.build([rng.integers(0, N, 4) for _ in range(b)]), **restrictions)


def test_the_recall_that_is_told_holds_for_others_and_work_is_spared(models):
    _, found, exact = models
    told = found.figures()["recall"]
    assert 0.95 <= told <= 1
    if found.space.size[1]:
        assert found.index.cells.probes < len(found.index.cells.centres)
    else:
        assert found.index.postings.kept < N
    mine, its = (model.candidates(asked(), 100) for model in (found, exact))
    recall = np.mean([(np.isin(a, b)).mean() for a, b in zip(its.items, mine.items, strict=True)])
    assert recall > 0.9
    assert exact.figures() == {}


def test_what_it_finds_is_scored_as_score_does(models):
    _, found, _ = models
    queries = asked()
    listed = found.candidates(queries, 50)
    np.testing.assert_allclose(listed.scores, found.score(queries, listed.items), atol=1e-6)
    assert (np.diff(listed.scores, axis=1) <= 0).all()


def test_a_narrow_filter_and_exclusions_leave_the_exact_list(models):
    _, found, exact = models
    rng = np.random.default_rng(5)
    excluded = Ragged.of([np.sort(rng.permutation(N)[:500]) for _ in range(20)])
    queries = asked(excluded=excluded, eligible=rng.random(N) < 0.05)
    mine, its = (model.candidates(queries, 40) for model in (found, exact))
    np.testing.assert_allclose(mine.scores, its.scores, atol=1e-5)


def test_saved_and_loaded_beside_new_items_it_lists_these_too(models, tmp_path):
    data, found, _ = models
    found.save(tmp_path)
    again = Content.load(tmp_path, found.config, data.catalog)
    np.testing.assert_array_equal(again.candidates(asked(), 30).items, found.candidates(asked(), 30).items)
    twin = data.catalog.items.frame.head(1).with_columns(pl.lit("twin").alias("id"))
    grown = Catalog(data.catalog.items.upsert(twin, ROLES), data.catalog.users)
    grown_model = Content.load(tmp_path, found.config, grown)
    queries = Queries.build(Histories.build([[0]]))
    assert N in grown_model.candidates(queries, 5).items[0]
    hidden = Queries.build(Histories.build([[0]]), excluded=Ragged.of([[N]]))
    assert N not in grown_model.candidates(hidden, 5).items[0]
