"""What the recommender asks and says, against an embedded server with several models."""

import asyncio
import gc
import socket
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from cuvee import Catalog, Entities, Histories, Queries, Ragged
from cuvee.config import load_settings
from cuvee.recommender import DegradedReason, Serves, SourceFailure
from cuvee.registry import Registry
from cuvee.testing import two_tribes
from cuvee_tfserving import TfServing, TfServingConfig
from cuvee_tfserving import recommender as module
from cuvee_tfserving.artefact import Artefact, beside
from cuvee_tfserving.client import ModelClient
from cuvee_tfserving.memory import Memory
from cuvee_tfserving.sequences import sequences
from cuvee_tfserving.training.features import ItemFeatures
from cuvee_tfserving.trial import check_signatures
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

N, LENGTH = 30, 8
ITEMS = Entities.of_ids(map(str, range(N)))


@pytest.fixture
def recommender(shared):
    running, root = shared
    opened = []

    def make(model="one", published=1, items=ITEMS, fitted=None, **settings):
        config = TfServingConfig(
            **{"address": running.address, "model": model, "model_root": root, "max_history": LENGTH, **settings}
        )
        fitted = fitted or Artefact.read(beside(root, model, published), published, N)
        opened.append(TfServing(config, fitted, items))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def predicts(monkeypatch):
    """Every Predict that is made: (signature, rows)."""
    asked = []
    predict = ModelClient.predict

    async def counted(self, model, signature, inputs, patience=1.0):
        asked.append((signature, len(next(iter(inputs.values())))))
        return await predict(self, model, signature, inputs, patience)

    monkeypatch.setattr(ModelClient, "predict", counted)
    return asked


def ask(*rows, weights=None, **more):
    return Queries.build(Histories.build(rows, weights), **more)


def every(queries, n=N):
    return np.tile(np.arange(n, dtype=np.int32), (len(queries), 1))


def expected(made, name, *rows):
    vectors = np.load(made[name] / "assets.extra" / "item_vectors.npy")
    return np.stack([vectors[list(row)].mean(axis=0) @ vectors.T for row in rows])


async def test_one_predict_for_candidates_and_scores_of_a_batch(recommender, predicts, made):
    model = recommender()
    queries = ask([1, 2, 3], [], [5], excluded=Ragged.of([[0], [], [7, 8]]))
    proposed = await model.candidates(queries, 5)
    # the pipeline restricts what may be proposed, and asks about the same histories
    scores = await model.score(replace(queries, eligible=np.ones(N, np.bool_)), every(queries))
    assert predicts == [("user_vector", 2)]
    right = expected(made, "one", [1, 2, 3], [5])
    np.testing.assert_allclose(scores[[0, 2]], right, atol=1e-5)
    assert np.isnan(scores[1]).all()
    assert (proposed.items[1] == -1).all()
    right[0, 0] = right[1, [7, 8]] = -np.inf
    np.testing.assert_array_equal(proposed.items[[0, 2]], np.argsort(-right, axis=1)[:, :5])
    assert model.model_version == "1"


async def test_what_was_said_is_forgotten_with_the_queries(recommender, predicts):
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


async def test_events_that_the_model_cannot_read_are_left_out(recommender, made):
    model = recommender(items=Entities.of_ids(map(str, range(N + 5))))
    queries = ask([1, N + 2, 2], [N + 1], [3, 4], weights=[[1, 1, 1], [1], [1, 0]])
    scores = await model.score(queries, every(queries, N + 5))
    np.testing.assert_allclose(scores[[0, 2], :N], expected(made, "one", [1, 2], [3]), atol=1e-5)
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[:, N:]).all()


async def test_a_large_product_goes_to_a_thread(recommender, monkeypatch):
    model, queries = recommender(), ask([1, 2, 3])
    here = await model.candidates(queries, 5), await model.score(queries, every(queries))
    monkeypatch.setattr(module, "LOOP_FLOPS", 0)
    there = await model.candidates(queries, 5), await model.score(queries, every(queries))
    np.testing.assert_array_equal(here[0].items, there[0].items)
    np.testing.assert_array_equal(here[1], there[1])


async def test_nothing_to_ask_is_not_asked(recommender, predicts):
    model = recommender()
    for queries in (ask(), ask([], [])):
        assert (await model.candidates(queries, 5)).items.shape == (len(queries), 5)
        assert np.isnan(await model.score(queries, every(queries))).all()
    assert predicts == []


async def test_a_model_without_vectors_scores(recommender, predicts, made, monkeypatch):
    model = recommender("scoring")
    assert model.serves == Serves.SESSION
    queries = ask([1, 2, 3], [], [5])
    proposed = await model.candidates(queries, 4)
    scores = await model.score(queries, np.array([[0, -1], [3, 4], [29, 2]], np.int32))
    assert predicts == [("score", 2)]
    right = expected(made, "one", [1, 2, 3], [5])
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


@pytest.mark.parametrize(
    ("model", "settings", "reason", "detail"),
    [
        ("shape", {}, "INVALID_OUTPUT", r"float32\[1, 8\], not float32\[1, 4\]"),
        ("dtype", {}, "INVALID_OUTPUT", "float64"),
        ("nan", {}, "INVALID_OUTPUT", "NaN"),
        ("name", {}, "INVALID_OUTPUT", "no output 'vector'"),
        ("one", {"version": 9}, "ERROR", "not the version"),
        ("one", {"version_label": "stable"}, "ERROR", "version label"),
        ("one", {"user_signature": "no_such"}, "ERROR", "no such signature"),
        ("one", {"user_signature": "score"}, "ERROR", "other inputs"),
        ("one", {"max_history": 9}, "ERROR", "other inputs"),
        ("one", {"address": "127.0.0.1:1"}, "UNAVAILABLE", "cannot be reached"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
async def test_typed_reasons(recommender, model, settings, reason, detail):
    fitted = recommender("one")._fitted
    with pytest.raises(SourceFailure, match=detail) as failed:
        await recommender(model, fitted=fitted, **settings).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason(reason)
    assert "grpc" not in failed.value.detail.lower()
    if reason != "INVALID_OUTPUT":
        assert isinstance(failed.value.__cause__, grpc.aio.AioRpcError)


async def test_a_scoring_model_with_nan_and_an_unknown_model(recommender):
    scoring = recommender("scoring")._fitted
    with pytest.raises(SourceFailure) as failed:
        await recommender("nan", fitted=scoring).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.INVALID_OUTPUT
    with pytest.raises(SourceFailure) as failed:
        await recommender("no_such_model", fitted=scoring).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.ERROR


@pytest.fixture
def silent():
    """The address of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_no_answer_within_the_deadline(recommender, silent):
    with pytest.raises(SourceFailure, match="in time") as failed:
        await recommender(address=silent, deadline=0.1).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.TIMEOUT
    assert isinstance(failed.value.__cause__, grpc.aio.AioRpcError)


async def test_cancelling_reaches_the_call(recommender, silent):
    model = recommender(address=silent)
    call = asyncio.ensure_future(model.candidates(ask([1]), 3))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_it_follows_a_swap_with_the_vectors_of_the_version_that_answers(recommender, made, publish, shared):
    running, root = shared
    model = recommender("swap")
    queries = ask([1, 2])
    np.testing.assert_allclose(await model.score(queries, every(queries)), expected(made, "one", [1, 2]), atol=1e-5)
    publish(made["two"], root, 2, "swap")
    running.wait_for("version available", model="swap", version=2)
    # a request that began before the swap ends with the version that it began with
    np.testing.assert_allclose(await model.score(queries, every(queries)), expected(made, "one", [1, 2]), atol=1e-5)
    later = ask([1, 2])
    proposed = await model.candidates(later, 3)
    right = expected(made, "two", [1, 2])
    np.testing.assert_array_equal(proposed.items, np.argsort(-right, axis=1)[:, :3])
    np.testing.assert_allclose(await model.score(later, every(later)), right, atol=1e-5)
    assert model.model_version == "2"
    # pinned, it stays
    pinned = recommender("swap", version=2, fitted=Artefact.read(beside(root, "swap", 1), 1, N))
    assert pinned._asked.version == 2
    stays = recommender("swap", fitted=Artefact.read(beside(root, "swap", 1), 1, N), version="fitted")
    await stays.candidates(ask([1]), 3)
    assert stays.model_version == "1"


async def test_without_the_vectors_of_the_version_that_answers_it_says_so(recommender, made, publish, shared):
    running, root = shared
    fitted = Artefact.read(beside(root, "swap", 1), 1, N)
    publish(made["two"], root, 3, "swap")
    running.wait_for("version available", model="swap", version=3)
    vectors = root / "swap" / "3" / "assets.extra" / "item_vectors.npy"
    aside = vectors.rename(vectors.with_suffix(".aside"))
    model = recommender("swap", fitted=fitted)
    with pytest.raises(SourceFailure, match="version 3, whose item vectors are not at hand") as failed:
        await model.candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.ERROR
    aside.rename(vectors)
    assert (await model.candidates(ask([1]), 3)).items[0, 0] >= 0


async def test_health_is_what_was_heard_last(recommender):
    well = recommender()
    assert well.health()
    for settings in ({"model": "no_such_model"}, {"address": "127.0.0.1:1"}):
        ill = recommender(fitted=well._fitted, **settings)
        async with asyncio.timeout(10):
            while ill.health():
                await asyncio.sleep(0.01)
    assert well.health()


async def test_closed(recommender):
    model = recommender()
    await model.candidates(ask([1]), 3)
    model.health()
    model.close()
    model.close()
    with pytest.raises(SourceFailure, match="closed"):
        await model.candidates(ask([2]), 3)


def test_every_event_loop_has_its_own_channel(recommender):
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


async def test_new_items_have_vectors_by_the_item_tower(made, recommender):
    grown = two_tribes().grown.items
    vectors = np.load(made["toy"] / "assets.extra" / "item_vectors.npy")
    features = ItemFeatures.load(made["toy"] / "assets.extra" / "item_features.json")
    tower = np.load(made["toy"].with_name("tower.npy"))
    n = len(vectors)
    model = recommender("toy", items=grown)
    assert model.serves == Serves.SESSION | Serves.COLD_ITEM
    queries = ask([1, 2])
    scores = await model.score(queries, every(queries, len(grown)))
    whole = np.concatenate([vectors, features.matrix(grown, n) @ tower])
    np.testing.assert_allclose(scores[0], whole @ vectors[[1, 2]].mean(axis=0), atol=1e-5)
    # where the tower cannot be asked, what is known stays of use
    without = recommender("toy", items=grown, item_signature="no_such")
    scores = await without.score(queries, every(queries, len(grown)))
    assert np.isfinite(scores[0, :n]).all()
    assert np.isnan(scores[0, n:]).all()


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("one", {}, None),
        ("toy", {}, None),
        ("scoring", {}, None),
        ("one", {"max_history": 9}, "set max_history = 8"),
        ("one", {"user_signature": "no_such"}, "Set user_signature, or export"),
        ("toy", {"item_signature": "score"}, "Set item_signature, or export"),
        ("scoring", {"score_signature": "no_such"}, r"it has: score: \['history', 'items'\] to \['scores'\]"),
        ("name", {}, "'user_vector' from .* to 'vector'"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
def test_a_fit_checks_what_the_model_can_be_asked(recommender, shared, model, settings, said):
    fitted = recommender(model, **settings)
    outcome = pytest.raises(RuntimeError, match=said) if said else nullcontext()
    with outcome:
        check_signatures(shared[0].address, fitted._config, fitted._fitted)


def test_a_fit_says_that_a_model_is_not_there(recommender, shared):
    fitted = recommender("one")._fitted
    absent = recommender("no_such_model", fitted=fitted)
    with pytest.raises(RuntimeError, match="signatures of version 1 of 'no_such_model': NOT_FOUND"):
        check_signatures(shared[0].address, absent._config, fitted)


def test_a_fit_says_what_is_wrong_with_what_it_published(recommender, shared, caplog, monkeypatch, tmp_path):
    """The configured server watches another folder, so one of our own is tried, which cannot serve it either."""
    (tmp_path / "one" / "5").mkdir(parents=True)
    stopped = []
    own = SimpleNamespace(address=shared[0].address, stop=lambda: stopped.append(True))
    monkeypatch.setattr("cuvee_tfserving.trial.start", lambda arguments: own)
    config = recommender("one", model_root=tmp_path, publish_wait=0.5, train=False)._config
    with pytest.raises(RuntimeError, match=r"one/5 cannot be served: version 1: served"):
        TfServing.fit(two_tribes().data, config, lambda done, total, note="": None)
    assert "which was just published" in caplog.text
    assert stopped == [True]


CUVEE = """
[recommenders.deep]
plugin = "tfserving"
{settings}
"""


def configured(folder, settings=""):
    """The instance of a ``cuvee.toml`` with one product."""
    (folder / "products").mkdir(parents=True, exist_ok=True)
    (folder / "products/toy.toml").write_text('sources = [{ use = "deep" }]')
    (folder / "cuvee.toml").write_text(CUVEE.format(settings=settings))
    return load_settings(folder / "cuvee.toml", Registry.load()).recommenders["deep"]


def test_models_lie_beside_the_configuration_and_outlive_a_move_of_the_server(tmp_path):
    one = configured(tmp_path / "one")
    assert one.config.model_root == tmp_path / "one" / "models"
    served_elsewhere = 'address = "models:8500"\nversion_label = "stable"\ndeadline = 2.0\nmodel_root = "/srv/models"'
    assert configured(tmp_path / "two", served_elsewhere).digest == one.digest
    assert configured(tmp_path / "two", 'version = 3\npublish_wait = 5.0\ncheckpoints = "var"').digest == one.digest
    assert configured(tmp_path / "two", "training = { epochs = 41 }").digest != one.digest
    assert configured(tmp_path / "two", "train = false").digest != one.digest


rows = st.lists(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.5, 1.0])), max_size=9), max_size=5)


@given(rows, st.integers(1, 12), st.integers(1, 6))
def test_sequences_are_the_newest_liked_and_known_events(events, n_items, length):
    histories = Histories.build([[i for i, _ in row] for row in events], [[w for _, w in row] for row in events])
    found, told = sequences(histories, n_items, length)
    slow = [[i + 1 for i, w in row if w > 0 and i < n_items][-length:] for row in events]
    assert told.tolist() == [b for b, row in enumerate(slow) if row]
    assert found.tolist() == [[0] * (length - len(row)) + row for row in slow if row]
    assert found.dtype == np.int32
    assert found.shape == (len(told), length)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": ""},
        {"model": "a/b"},
        {"version": 0},
        {"version": 3, "version_label": "stable"},
        {"deadline": 0},
        {"training": {"architecture": "oracle"}},
        {"modle": "deep"},
    ],
    ids=str,
)
def test_mistakes_in_the_config(wrong):
    with pytest.raises(ValidationError):
        TfServingConfig.model_validate(wrong)
