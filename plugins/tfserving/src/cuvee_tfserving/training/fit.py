"""The training loop: epochs of streamed batches, validation, early stopping, checkpoints.

Adam with a warm-up, then a constant rate. What is validated and exported is a running mean of the
weights (Polyak and Juditsky, 1992), which has the effect of a falling rate without knowing beforehand
when the run will end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cuvee import Dataset
from cuvee.recommender import Floats, Ints

from cuvee_tfserving.training import checkpoint, validation
from cuvee_tfserving.training.architectures import build
from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.features import ItemFeatures
from cuvee_tfserving.training.network import Network
from cuvee_tfserving.training.sequences import Held, hold_out, liked

__all__ = ["Report", "Trained", "train"]

Report = Callable[[dict[str, Any]], None]
"""Takes one line of progress."""
_EVERY = 2.0
"""Seconds between two lines within an epoch."""


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # keras ships no types
    """Rises from 0 to the full rate, then stays."""

    def __init__(self, rate: float, steps: int) -> None:
        self.rate, self.steps = rate, max(steps, 1)

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32") + 1.0
        return self.rate * keras.ops.minimum(1.0, done / self.steps)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps}


class Trained:
    """A network with its best weights, and the record of its training."""

    def __init__(self, network: Network, features: ItemFeatures, standing: checkpoint.Standing, held: Held) -> None:
        self.network = network
        self.features = features
        self.standing = standing
        self.held = held


class _Run:
    """The changing state of one run."""

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        self.network, self.config = network, config
        self.weights = list(network.trainable_variables)
        self.optimizer = keras.optimizers.AdamW(
            _Warmup(config.learning_rate, config.warmup_steps), weight_decay=config.weight_decay
        )
        self.optimizer.build(self.weights)
        self.means = [tf.Variable(weight.value, trainable=False) for weight in self.weights]
        self.best = [weight.numpy() for weight in self.means]
        self.step = tf.function(self._step, autograph=False)
        self.all_scores = tf.function(self._all_scores, autograph=False)

    def _step(self, *batch: Any) -> Any:
        with tf.GradientTape() as tape:
            cost = self.network.cost(*batch)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(cost, self.weights)]
        done = tf.cast(self.optimizer.iterations.value, tf.float32)
        self.optimizer.apply_gradients(zip(gradients, self.weights, strict=True))
        # with a constant decay the first steps would have too much weight
        decay = tf.minimum(self.config.averaging, (1.0 + done) / (10.0 + done))
        for mean, weight in zip(self.means, self.weights, strict=True):
            mean.assign(decay * mean + (1.0 - decay) * weight.value)
        return cost

    def _all_scores(self, history: Any) -> Any:
        if self.network.factorises:
            return tf.matmul(self.network.user_vectors(history), self.network.item_vectors(), transpose_b=True)
        items = tf.tile(tf.range(1, self.network.n_items + 1)[None], (tf.shape(history)[0], 1))
        return self.network.scores(history, items)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the means in place of the weights."""
        now = [weight.numpy() for weight in self.weights]
        self.put([mean.numpy() for mean in self.means])
        yield
        self.put(now)

    def put(self, values: list[Any]) -> None:
        """Set the weights."""
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)

    def validate(self, held: Held) -> validation.Ranks:
        """The rank of each held-out item under the mean weights."""
        score: Callable[[Ints], Floats] = lambda tokens: self.all_scores(tf.constant(tokens)).numpy()  # noqa: E731
        batch = 256 if self.network.factorises else 32
        with self.averaged():
            return validation.rank_answers(
                score, held.train.select(held.users), held.answers, self.config.max_history, batch
            )

    def arrays(self) -> dict[str, list[Any]]:
        """Everything that a later run needs to continue."""
        return {
            "network": [v.numpy() for v in self.network.state()],
            "optimizer": [v.numpy() for v in self.optimizer.variables],
            "means": [v.numpy() for v in self.means],
            "best": self.best,
        }

    def restore(self, arrays: dict[str, list[Any]]) -> None:
        """Continue from :meth:`arrays`."""
        for name, variables in (
            ("network", self.network.state()),
            ("optimizer", list(self.optimizer.variables)),
            ("means", self.means),
        ):
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        self.best = arrays["best"]


def train(data: Dataset, config: TrainingConfig, folder: Path, report: Report) -> Trained:
    """Train until the epochs, the patience or the time are used up; continue from a checkpoint in ``folder``.

    Each user's last liked event is held out for validation after every epoch; the result has the weights
    of the best epoch.

    Raises:
        ValueError: nobody has two liked events, so there is nothing to learn from.
    """
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    events = liked(data)
    if not (events.lengths >= 2).any():
        raise ValueError("no user has two liked events: there is no next item to learn from")
    held = hold_out(events, config.validation_users, config.seed)
    features = ItemFeatures.learn(data.catalog.items, config.text_buckets, config.max_categories)
    network = build(config, features.matrix(data.catalog.items), held.train)
    run = _Run(network, config)
    standing = checkpoint.Standing(checkpoint.fingerprint(data, config))
    found = checkpoint.read(folder)
    if found and found[0].fingerprint == standing.fingerprint:
        standing = found[0]
        run.restore(found[1])
        report({"event": "resumed", "epoch": standing.epoch, "best": standing.best})
    elif found:
        report({"event": "restarted", "note": "the checkpoint is of other data or another config"})
    while standing.epoch < config.epochs and standing.epoch - standing.best_epoch < config.patience:
        if config.time_limit and standing.seconds >= 60 * config.time_limit:
            break
        _epoch(run, held, standing, report)
        checkpoint.write(folder, standing, run.arrays())
    run.put(run.best)
    return Trained(network, features, standing, held)


def _epoch(run: _Run, held: Held, standing: checkpoint.Standing, report: Report) -> None:
    """One pass over the histories, and validation on the held-out events."""
    began = said = time.monotonic()
    config, number = run.config, standing.epoch + 1
    total = max(run.network.steps(held.train), 1)
    costs: list[Any] = []
    for batch in run.network.batches(held.train, standing.epoch):
        costs.append(run.step(*(tf.constant(array) for array in batch)))
        now = time.monotonic()
        if now - said >= _EVERY:
            said, share = now, min(len(costs) / total, 1.0)
            each = (now - began) / share
            report(
                {
                    "event": "step",
                    "epoch": round(standing.epoch + share, 3),
                    "epochs": config.epochs,
                    "step": len(costs),
                    "steps": total,
                    "loss": round(float(costs[-1]), 5),
                    "seconds": round(standing.seconds + now - began, 1),
                    "eta": round(each * (config.epochs - standing.epoch - share), 1),
                }
            )
    loss = float(np.mean([float(cost) for cost in costs])) if costs else 0.0
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss of epoch {number} is {loss}; try a lower learning_rate")
    ranks = run.validate(held)
    # without validation events, the last epoch counts as the best
    quality = validation.ndcg(ranks) if len(ranks) else float(number)
    spent = time.monotonic() - began
    standing.epoch = number
    standing.seconds += spent
    if quality > standing.best:
        standing.best, standing.best_epoch = quality, number
        run.best = [mean.numpy() for mean in run.means]
    point = {
        "epoch": number,
        "loss": round(loss, 5),
        "ndcg": round(validation.ndcg(ranks), 5),
        "hr": round(validation.hit_rate(ranks), 5),
        "seconds": round(standing.seconds, 1),
    }
    standing.curve.append(point)
    report(
        {"event": "epoch", **point, "epochs": config.epochs, "best": round(standing.best, 5)}
        | {"eta": round(spent * (config.epochs - number), 1)}
    )
