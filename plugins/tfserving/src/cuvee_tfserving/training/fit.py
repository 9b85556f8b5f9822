"""The training loop: epochs of streamed batches, validation, early stopping, checkpoints.

Adam with a warm-up, then a constant rate, or one that falls until the run ends. What is validated and
exported is a running mean of the weights (Polyak and Juditsky, 1992), which has the effect of a falling
rate without knowing beforehand when the run will end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from cuvee import Dataset

from cuvee_tfserving.training import checkpoint, validation
from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.features import ItemFeatures
from cuvee_tfserving.training.learner import Learner, learner_of
from cuvee_tfserving.training.networks.architectures import build
from cuvee_tfserving.training.networks.network import Network
from cuvee_tfserving.training.sequences import Held, hold_out, liked

__all__ = ["Report", "Trained", "train"]

Report = Callable[[dict[str, Any]], None]
"""Takes one line of progress."""
_EVERY = 2.0
"""Seconds between two lines within an epoch."""


class Trained:
    """A network with its best weights, and the record of its training."""

    def __init__(self, network: Network, features: ItemFeatures, standing: checkpoint.Standing, held: Held) -> None:
        self.network = network
        self.features = features
        self.standing = standing
        self.held = held


def _validated(learner: Learner, held: Held) -> validation.Ranks:
    """The rank of each held-out item under the mean weights."""
    batch = 256 if learner.network.factorises else 32
    with learner.averaged():
        return validation.rank_answers(
            lambda tokens, ages: learner.scores((tokens, ages) if learner.network.timed else (tokens,)),
            held.train.select(held.users),
            held.answers,
            learner.config.max_history,
            batch,
        )


def train(data: Dataset, config: TrainingConfig, folder: Path, report: Report) -> Trained:
    """Train until the epochs, the patience or the time are used up; continue from a checkpoint in ``folder``.

    Each user's last liked event is held out for validation after every epoch; the result has the weights
    of the best epoch.

    Raises:
        ValueError: nobody has two liked events, so there is nothing to learn from.
    """
    keras.utils.set_random_seed(config.seed)
    events = liked(data)
    if not (events.lengths >= 2).any():
        raise ValueError("no user has two liked events: there is no next item to learn from")
    held = hold_out(events, config.validation_users, config.seed)
    features = ItemFeatures.learn(data.catalog.items, config.text_buckets, config.max_categories)
    network = build(config, features.matrix(data.catalog.items), held.train)
    run = learner_of(network, config)
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


def _share(config: TrainingConfig, standing: checkpoint.Standing, of_epoch: float, seconds: float) -> float:
    """How much of the run is done, by epochs or by time, whichever ends it."""
    timed = (standing.seconds + seconds) / (60 * config.time_limit) if config.time_limit else 0.0
    return max((standing.epoch + min(of_epoch, 1.0)) / config.epochs, timed)


def _epoch(run: Learner, held: Held, standing: checkpoint.Standing, report: Report) -> None:
    """One pass over the histories, and validation on the held-out events."""
    began = said = time.monotonic()
    config, number = run.config, standing.epoch + 1
    total = max(run.network.steps(held.train), 1)
    costs: list[Any] = []
    for batch in run.network.batches(held.train, standing.epoch):
        run.pace(_share(config, standing, len(costs) / total, time.monotonic() - began))
        costs.append(run.step(batch))
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
    ranks = _validated(run, held)
    # without validation events, the last epoch counts as the best
    quality = validation.ndcg(ranks) if len(ranks) else float(number)
    spent = time.monotonic() - began
    standing.epoch = number
    standing.seconds += spent
    if quality > standing.best:
        standing.best, standing.best_epoch = quality, number
        run.best = run.mean_weights()
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
