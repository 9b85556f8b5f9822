"""What is written: SavedModels that answer as the networks do, and the files beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from cuvee.testing.toys import chain, two_tribes
from cuvee_tfserving.training import export, fit
from cuvee_tfserving.training.__main__ import main
from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.features import ItemFeatures
from cuvee_tfserving.training.networks.architectures import build
from cuvee_tfserving.training.sequences import age_rows, token_rows
from tensorflow_serving.apis import prediction_log_pb2

SMALL: dict[str, Any] = {"layers": 1, "dimensions": 8, "max_history": 6, "batch_size": 32, "epochs": 1}


TIMED: dict[str, Any] = {"architecture": "transformer", "relative": True, "gated": True, "attention": "pointwise"}


class Written:
    """A network, and what the export made of it."""

    def __init__(self, settings: dict[str, Any], out: Path) -> None:
        self.config = TrainingConfig.model_validate(SMALL | settings)
        self.data = two_tribes().data
        self.trained = fit.train(self.data, self.config, out / "checkpoint", lambda line: None)
        self.network = self.trained.network
        self.history = token_rows(self.data.events, 6)
        self.items = np.random.default_rng(0).integers(1, 121, (len(self.history), 5)).astype(np.int32)
        history: Any = tf.constant(self.history)
        if self.network.timed:
            history = history, tf.constant(self.ages(len(self.history)))
        self.wanted = np.asarray(self.network.scores(history, tf.constant(self.items)))
        self.meta = export.export(self.trained, self.config, out)
        self.out = out
        self.loaded = tf.saved_model.load(str(out / "saved_model"))

    def ages(self, rows: int) -> Any:
        return (age_rows(self.data.events, 6) * 1000)[:rows]

    def ask(self, signature: str, **inputs: Any) -> dict[str, Any]:
        if self.network.timed and "history" in inputs:
            inputs["ages"] = self.ages(len(inputs["history"]))
        answer = self.loaded.signatures[signature](**{name: tf.constant(given) for name, given in inputs.items()})
        return {name: value.numpy() for name, value in answer.items()}


@pytest.fixture(scope="module", params=["transformer", "timed", "neumf", "autoencoder", "convolution"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    settings = TIMED if request.param == "timed" else {"architecture": request.param}
    return Written(settings, tmp_path_factory.mktemp(request.param))


def test_the_signatures_score_as_the_network_does(written: Written) -> None:
    for signature in ("score", "serving_default"):
        found = written.ask(signature, history=written.history, items=written.items)["scores"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, written.wanted, rtol=1e-4, atol=1e-5)


def test_scores_do_not_depend_on_the_rest_of_the_batch(written: Written) -> None:
    alone = written.ask("score", history=written.history[:1], items=written.items[:1, :2])["scores"]
    np.testing.assert_allclose(alone, written.wanted[:1, :2], rtol=1e-4, atol=1e-5)


def test_pads_and_empty_histories_give_numbers(written: Written) -> None:
    nothing = np.zeros((2, 6), np.int32)
    assert np.isfinite(written.ask("score", history=nothing, items=np.zeros((2, 3), np.int32))["scores"]).all()


def test_signatures_are_those_that_the_metadata_names(written: Written) -> None:
    meta = json.loads((written.out / "meta.json").read_text())
    assert meta == written.meta
    assert meta["signatures"] == sorted(written.loaded.signatures)
    assert (meta["n_items"], meta["max_history"]) == (120, 6)
    assert meta["user_vectors"] == ("user_vector" in meta["signatures"]) == (written.out / "item_vectors.npy").exists()
    assert meta["item_tower"] == ("item_vector" in meta["signatures"]) == (written.out / "item_features.json").exists()
    assert [point["epoch"] for point in meta["curve"]] == [1]
    assert set(meta["metrics"]) == {"ndcg", "hr", "loss"}


def test_scores_are_products_of_the_vectors(written: Written) -> None:
    if not written.meta["user_vectors"]:
        pytest.skip(f"{written.config.architecture} has no vectors")
    vectors = np.load(written.out / "item_vectors.npy")
    users = written.ask("user_vector", history=written.history)["vector"]
    assert vectors.shape == (120, written.meta["d"])
    assert users.shape == (len(written.history), written.meta["d"])
    found = np.einsum("bd,bmd->bm", users, vectors[written.items - 1])
    np.testing.assert_allclose(found, written.wanted, rtol=1e-4, atol=1e-5)


def test_items_get_vectors_by_their_features(written: Written) -> None:
    if not written.meta["item_tower"]:
        pytest.skip(f"{written.config.architecture} has no item tower")
    features = ItemFeatures.load(written.out / "item_features.json").matrix(two_tribes().grown.items, 120)
    assert features.shape == (6, written.meta["n_features"])
    assert written.ask("item_vector", features=features)["vector"].shape == (6, written.meta["d"])


def test_warmup_requests_are_questions_that_the_model_answers(written: Written) -> None:
    file = written.out / "saved_model" / "assets.extra" / "tf_serving_warmup_requests"
    asked = set()
    for record in tf.data.TFRecordDataset(str(file)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        written.ask(request.model_spec.signature_name, **inputs)
        asked.add((request.model_spec.signature_name, len(next(iter(inputs.values())))))
    assert asked == {(signature, rows) for signature in written.meta["signatures"] for rows in (1, 32)}


def test_the_command_trains_and_says_how_far_it_is(tmp_path: Path) -> None:
    chain().data.save(tmp_path / "data")
    settings = SMALL | {"architecture": "convolution", "epochs": 2}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "cuvee_tfserving.training", "--data", str(tmp_path / "data")]
    command += ["--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "out"), "--progress-json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert {"epoch", "epochs", "loss", "ndcg", "seconds", "eta"} <= set(epochs[0])
    assert lines[-1]["event"] == "done"
    assert (tmp_path / "out" / "saved_model" / "saved_model.pb").exists()


@pytest.mark.parametrize(
    ("settings", "said"), [({"heads": 3}, "heads"), ({"colour": "red"}, "colour"), ({"architecture": "rnn"}, "rnn")]
)
def test_a_config_that_means_nothing_is_refused_before_tensorflow_is_loaded(
    settings: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    arguments = ["--data", str(tmp_path), "--config", str(tmp_path / "config.json"), "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_data_that_cannot_be_learnt_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = chain().data
    data.where(data.events.ages == 0).save(tmp_path / "data")
    assert main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 2
    assert "no next item" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [{}, {"gated": True}, {"relative": True}, TIMED, TIMED | {"attention": "softmax"}, {"attention": "pointwise"}],
)
def test_the_newest_place_alone_has_the_state_that_the_whole_sequence_gives(settings: dict[str, Any]) -> None:
    """For every length of history, alone and beside longer ones."""
    config = TrainingConfig.model_validate(SMALL | {"layers": 3, "max_history": 9} | settings)
    data = two_tribes().data
    features = ItemFeatures.learn(data.catalog.items, 8, 50).matrix(data.catalog.items)
    network = build(config, features, data.events)
    rng = np.random.default_rng(5)
    for variable in network.trainable_variables:  # a tower and biases that begin as zeros would hide mistakes
        variable.assign(variable + rng.normal(size=variable.shape).astype(np.float32) * 0.3)
    history = rng.integers(1, data.n_items + 1, (10, 9)).astype(np.int32)
    for row in range(10):
        history[row, : 9 - row] = 0
    tokens = tf.constant(history)
    ages = np.sort(rng.exponential(1e5, history.shape), axis=1)[:, ::-1].astype(np.float32)
    times = tf.constant(ages) if network.timed else None
    whole = np.array(network.encode(tokens, tf.gather(network.table(), tokens), times))[:, -1]
    whole[0] = 0  # an empty history
    assert np.abs(whole[1:]).max() > 0.5

    @tf.function(input_signature=[tf.TensorSpec((None, 9), tf.int32), tf.TensorSpec((None, 9), tf.float32)])
    def served(tokens: Any, ages: Any) -> Any:
        return network.user_vectors((tokens, ages) if network.timed else tokens)

    np.testing.assert_allclose(served(tokens, ages), whole, atol=1e-5)
    for row in range(10):
        np.testing.assert_allclose(served(tokens[row : row + 1], ages[row : row + 1])[0], whole[row], atol=1e-5)
    later = np.array(served(tokens, ages * 50))
    assert (np.abs(later - whole).max() > 1e-3) == network.timed, "when something happened matters to a timed network"


def test_what_was_trained_on_jax_is_exported_by_tensorflow(tmp_path: Path) -> None:
    """Trains with JAX as on a machine with a GPU, but on the processor."""
    two_tribes().data.save(tmp_path / "data")
    (tmp_path / "config.json").write_text(json.dumps(SMALL | TIMED | {"epochs": 2}))
    command = [sys.executable, "-m", "cuvee_tfserving.training", "--progress-json", "--backend", "jax"]
    command += ["--data", str(tmp_path / "data"), "--config", str(tmp_path / "config.json"), "--out", str(tmp_path)]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # of the compiler; the model is tiny
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **quick})
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["backend"] for line in said if line["event"] == "device"] == ["jax", "tensorflow"]
    assert [line["epoch"] for line in said if line["event"] == "epoch"] == [1, 2], "nothing is trained twice"
    assert next(line["epoch"] for line in said if line["event"] == "resumed") == 2
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    assert np.isfinite(np.load(tmp_path / "item_vectors.npy")).all()
