"""What the recommender asks and says, against an embedded server with several models."""

import asyncio
import gc
from dataclasses import replace

import numpy as np
import pytest
from cuvee import Catalog, Entities, Histories, Ragged
from cuvee.recommender import Serves, SourceFailure
from cuvee_tfserving import TfServing
from cuvee_tfserving import recommender as module
from cuvee_tfserving.memory import Memory

N, LENGTH = 30, 8
ITEMS = Entities.of_ids(map(str, range(N)))


async def test_one_predict_for_candidates_and_scores_of_a_batch(recommender, predicts, ask, every, expected):
    model = recommender()
    queries = ask([1, 2, 3], [], [5], excluded=Ragged.of([[0], [], [7, 8]]))
    proposed = await model.candidates(queries, 5)
    # the pipeline restricts what may be proposed, and asks about the same histories
    scores = await model.score(replace(queries, eligible=np.ones(N, np.bool_)), every(queries))
    assert predicts == [("user_vector", 2)]
    right = expected("one", [1, 2, 3], [5])
    np.testing.assert_allclose(scores[[0, 2]], right, atol=1e-5)
    assert np.isnan(scores[1]).all()
    assert (proposed.items[1] == -1).all()
    right[0, 0] = right[1, [7, 8]] = -np.inf
    np.testing.assert_array_equal(proposed.items[[0, 2]], np.argsort(-right, axis=1)[:, :5])
    assert model.model_version == "1"


async def test_what_was_said_is_forgotten_with_the_queries(recommender, predicts, ask, every):
    model = recommender()
    queries = ask([1, 2])
    await model.candidates(queries, 3)
    assert len(model._memory) == 1
    other = ask([1, 2])
    await model.score(other, every(other))
    assert len(predicts) == 2
    del queries, other
    gc.collect()
    assert len(model._memory) == 0


def test_memory_wants_the_very_same_histories():
    memory = Memory()
    histories = Histories.build([[1, 2]])
    memory.keep(histories, "said")
    assert memory.recall(histories) == "said"
    assert memory.recall(replace(histories)) == "said"
    assert memory.recall(replace(histories, weights=histories.weights.copy())) is None
    assert memory.recall(Histories.build([[1, 2]])) is None


async def test_events_that_the_model_cannot_read_are_left_out(recommender, ask, every, expected):
    model = recommender(items=Entities.of_ids(map(str, range(N + 5))))
    queries = ask([1, N + 2, 2], [N + 1], [3, 4], weights=[[1, 1, 1], [1], [1, 0]])
    scores = await model.score(queries, every(queries, N + 5))
    np.testing.assert_allclose(scores[[0, 2], :N], expected("one", [1, 2], [3]), atol=1e-5)
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[:, N:]).all()


async def test_a_large_product_goes_to_a_thread(recommender, monkeypatch, ask, every):
    model, queries = recommender(), ask([1, 2, 3])
    here = await model.candidates(queries, 5), await model.score(queries, every(queries))
    monkeypatch.setattr(module, "LOOP_FLOPS", 0)
    there = await model.candidates(queries, 5), await model.score(queries, every(queries))
    np.testing.assert_array_equal(here[0].items, there[0].items)
    np.testing.assert_array_equal(here[1], there[1])


async def test_nothing_to_ask_is_not_asked(recommender, predicts, ask, every):
    model = recommender()
    for queries in (ask(), ask([], [])):
        assert (await model.candidates(queries, 5)).items.shape == (len(queries), 5)
        assert np.isnan(await model.score(queries, every(queries))).all()
    assert predicts == []


async def test_a_model_without_vectors_scores(recommender, predicts, monkeypatch, ask, expected):
    model = recommender("scoring")
    assert model.serves == Serves.SESSION
    queries = ask([1, 2, 3], [], [5])
    proposed = await model.candidates(queries, 4)
    scores = await model.score(queries, np.array([[0, -1], [3, 4], [29, 2]], np.int32))
    assert predicts == [("score", 2)]
    right = expected("one", [1, 2, 3], [5])
    np.testing.assert_array_equal(proposed.items[[0, 2]], np.argsort(-right, axis=1)[:, :4])
    np.testing.assert_allclose(scores[2], right[1, [29, 2]], atol=1e-5)
    assert np.isnan(scores[0, 1])
    assert np.isnan(scores[1]).all()
    # a list of the caller's alone: only those are asked about
    listed = ask([1, 2, 3])
    wanted = np.array([[4, N + 1, -1]], np.int32)
    np.testing.assert_allclose((await model.score(listed, wanted))[0], [right[0, 4], np.nan, np.nan], atol=1e-5)
    # a catalogue too large to score: it proposes nothing, and scores what others propose
    monkeypatch.setattr(module, "MOST_SCORED", N - 1)
    large = ask([5])
    assert (await model.candidates(large, 4)).items.tolist() == [[-1] * 4]
    np.testing.assert_allclose(await model.score(large, np.array([[2]], np.int32)), right[1:, 2:3], atol=1e-5)


async def test_closed(recommender, ask):
    model = recommender()
    await model.candidates(ask([1]), 3)
    model.health()
    model.close()
    model.close()
    with pytest.raises(SourceFailure, match="closed"):
        await model.candidates(ask([2]), 3)


def test_every_event_loop_has_its_own_channel(recommender, ask):
    model = recommender()
    for _ in range(3):
        assert asyncio.run(model.candidates(ask([1, 2]), 3)).items.shape == (1, 3)
    assert len(model._client._channels) == 1  # those of loops that are over were dropped


def test_save_and_load(recommender, tmp_path):
    model = recommender()
    model.save(tmp_path)
    loaded = TfServing.load(tmp_path, model._config, Catalog(ITEMS, ITEMS))
    assert loaded.model_version == "1"
    np.testing.assert_array_equal(loaded._fitted.vectors, model._fitted.vectors)
    loaded.close()
