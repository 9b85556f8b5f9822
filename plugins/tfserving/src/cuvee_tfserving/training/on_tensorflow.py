"""Learning on TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from cuvee.recommender import Floats, Ints

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.learner import Arrays, Learner
from cuvee_tfserving.training.networks.network import Network

__all__ = ["OnTensorFlow"]


class OnTensorFlow(Learner):
    """Steps are graphs."""

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        tf.config.experimental.enable_op_determinism()
        self.means = [tf.Variable(weight.value, trainable=False) for weight in network.trainable_variables]
        super().__init__(network, config)
        self._step = tf.function(self._learn, autograph=False, reduce_retracing=True)
        self._scores = tf.function(self.score_all, autograph=False)

    def _learn(self, *batch: Any) -> Any:
        with tf.GradientTape() as tape:
            cost = self.network.cost(*batch)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(cost, self.weights)]
        decay = self.decay(self.optimizer.iterations.value)
        self.optimizer.apply_gradients(zip(gradients, self.weights, strict=True))
        for mean, weight in zip(self.means, self.weights, strict=True):
            mean.assign(decay * mean + (1.0 - decay) * weight.value)
        return cost

    def step(self, batch: Sequence[Ints | Floats]) -> Any:
        """One graph call."""
        return self._step(*(tf.constant(array) for array in batch))

    def scores(self, inputs: Sequence[Ints | Floats]) -> Floats:
        """One graph call."""
        found: Floats = self._scores(*(tf.constant(array) for array in inputs)).numpy()
        return found

    def mean_weights(self) -> Arrays:
        """Copies."""
        return [mean.numpy() for mean in self.means]

    def arrays(self) -> dict[str, Arrays]:
        """Copies."""
        return {
            "network": [np.asarray(v) for v in self.network.state()],
            "optimizer": [np.asarray(v) for v in self.optimizer.variables],
            "means": self.mean_weights(),
            "best": self.best,
        }

    def restore(self, arrays: dict[str, Arrays]) -> None:
        """Assign all variables."""
        for name, variables in (
            ("network", self.network.state()),
            ("optimizer", list(self.optimizer.variables)),
            ("means", self.means),
        ):
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        self.best = arrays["best"]
        self.steps = int(self.optimizer.iterations)
