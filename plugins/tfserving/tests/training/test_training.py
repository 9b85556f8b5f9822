"""Each architecture on toy data whose right answer is known, and what comes of interruptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cuvee.testing.measure import separation
from cuvee.testing.toys import Toy, chain, two_tribes
from cuvee_tfserving.training import fit
from cuvee_tfserving.training.config import Architecture, TrainingConfig
from cuvee_tfserving.training.networks import transformer
from cuvee_tfserving.training.sequences import token_rows

LENGTH = 8


def config(architecture: Architecture = "transformer", **settings: Any) -> TrainingConfig:
    given = {
        "layers": 1,
        "dimensions": 16,
        "max_history": LENGTH,
        "batch_size": 16,
        "learning_rate": 0.01,
        "warmup_steps": 5,
    }
    more = {"averaging": 0.9, "epochs": 30, "patience": 30, "architecture": architecture}
    return TrainingConfig.model_validate(given | more | settings)


def trained(toy: Toy, folder: Path, settings: TrainingConfig, report: Callable[..., None] = lambda line: None) -> Any:
    return fit.train(toy.data, settings, folder / "checkpoint", report)


def all_scores(network: Any, tokens: np.ndarray) -> np.ndarray:
    items = np.tile(np.arange(1, network.n_items + 1, dtype=np.int32), (len(tokens), 1))
    history = keras.ops.convert_to_tensor(tokens)
    if network.timed:  # the toys' events are a second apart
        history = history, keras.ops.convert_to_tensor(np.arange(LENGTH, dtype=np.float32)[::-1] * (tokens > 0))
    return np.asarray(network.scores(history, keras.ops.convert_to_tensor(items)))


def asked(toy: Toy, network: Any) -> float:
    """How well right items are ranked above wrong ones (AUC) for users with a history; 0.5 is chance."""
    told = np.flatnonzero(toy.queries.histories.liked > 0)
    queries, answers = toy.queries.select(told), toy.answers.select(told)
    liked = queries.histories.select(np.arange(len(queries)))
    return separation(all_scores(network, token_rows(liked, LENGTH)), queries, answers)


@pytest.mark.parametrize(
    ("architecture", "toy", "settings", "least"),
    [
        ("transformer", chain, {}, 0.95),
        ("transformer", chain, {"negatives": 32}, 0.9),
        ("transformer", chain, {"gated": True, "relative": True, "annealed": True}, 0.95),
        ("transformer", chain, {"gated": True, "relative": True, "attention": "pointwise"}, 0.95),
        ("neumf", chain, {"epochs": 60}, 0.9),
        ("convolution", chain, {"epochs": 60}, 0.9),
        ("autoencoder", two_tribes, {}, 0.7),
    ],
)
def test_right_items_are_told_from_wrong_ones(
    architecture: Architecture, toy: Callable[[], Toy], settings: dict[str, Any], least: float, tmp_path: Path
) -> None:
    known = toy()
    found = asked(known, trained(known, tmp_path, config(architecture, **settings)).network)
    assert found > least


@pytest.mark.parametrize("architecture", ["transformer", "autoencoder"])
def test_interrupted_and_resumed_equals_uninterrupted_and_repeated(architecture: Architecture, tmp_path: Path) -> None:
    toy, settings = chain(), config(architecture, epochs=4)
    at_once = trained(toy, tmp_path / "once", settings)
    tokens = token_rows(toy.data.events, LENGTH)
    wanted = all_scores(at_once.network, tokens)

    def interrupt(line: dict[str, Any]) -> None:
        if line["event"] == "epoch" and line["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(toy, tmp_path / "twice", settings, interrupt)
    said: list[dict[str, Any]] = []
    resumed = trained(toy, tmp_path / "twice", settings, said.append)
    assert (said[0]["event"], said[0]["epoch"]) == ("resumed", 2)
    np.testing.assert_array_equal(all_scores(resumed.network, tokens), wanted)
    drop = {"seconds"}
    curves = [
        [{k: v for k, v in point.items() if k not in drop} for point in run.standing.curve]
        for run in (at_once, resumed)
    ]
    assert curves[0] == curves[1]


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    tokens = token_rows(chain().data.events, LENGTH)
    one, two = (
        all_scores(trained(chain(), tmp_path / str(seed), config("convolution", epochs=1, seed=seed)).network, tokens)
        for seed in (0, 1)
    )
    assert not np.allclose(one, two)


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    trained(chain(), tmp_path, config("convolution", epochs=1))
    trained(chain(), tmp_path, config("convolution", epochs=1, dropout=0.1), said.append)
    assert said[0]["event"] == "restarted"


def test_training_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    run = trained(chain(), tmp_path, config("neumf", epochs=200, patience=2, learning_rate=0.05))
    assert run.standing.epoch < 200
    assert run.standing.epoch - run.standing.best_epoch == 2


def test_training_stops_when_its_time_is_over(tmp_path: Path) -> None:
    assert trained(chain(), tmp_path, config("neumf", epochs=50, time_limit=1e-6)).standing.epoch == 1


def test_new_items_stand_where_their_genres_say(tmp_path: Path) -> None:
    toy = two_tribes()
    run = trained(toy, tmp_path, config(id_dropout=0.3))
    assert asked(toy, run.network) > 0.7
    n = toy.data.n_items
    features = run.features.matrix(toy.grown.items, n)
    vectors = np.asarray(run.network.tower_vectors(keras.ops.convert_to_tensor(features)))
    users = np.asarray(run.network.user_vectors(keras.ops.convert_to_tensor(token_rows(toy.data.events, LENGTH))))
    history = toy.data.events
    tribe = np.asarray([np.median(history.row(u)[-3:] % 2) if len(history.row(u)) else -1 for u in range(len(history))])
    scores = users @ vectors.T
    for mine in (0, 1):
        own, other = (scores[tribe == mine][:, np.arange(n, n + 6) % 2 == t] for t in (mine, 1 - mine))
        assert (own[:, :, None] > other[:, None]).mean() > 0.8


def test_an_item_that_nobody_had_is_its_features_alone(tmp_path: Path) -> None:
    toy = two_tribes()
    data = toy.data.where(toy.data.events.items != 7)
    run = fit.train(data, config(epochs=2), tmp_path / "checkpoint", lambda line: None)
    features = keras.ops.convert_to_tensor(run.features.matrix(data.catalog.items)[7:8])
    np.testing.assert_allclose(
        np.asarray(run.network.item_vectors())[7:8],
        np.asarray(run.network.tower_vectors(features)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_data_without_a_next_item_is_refused(tmp_path: Path) -> None:
    data = chain().data
    alone = data.where(data.events.ages == 0)
    with pytest.raises(ValueError, match="no next item"):
        fit.train(alone, config(), tmp_path / "checkpoint", lambda line: None)


def _nan(self: Any, *batch: Any) -> Any:
    return sum(keras.ops.sum(weight) for weight in self.trainable_variables) * float("nan")


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer.Transformer, "cost", _nan)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        trained(chain(), tmp_path, config(epochs=1))
