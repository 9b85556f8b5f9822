"""Learning on JAX, for machines with a GPU: compiled functions from all variables to all variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np
from cuvee.recommender import Floats, Ints

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.learner import Arrays, Learner
from cuvee_tfserving.training.networks.network import Network

__all__ = ["OnJax"]


class OnJax(Learner):
    """Steps are pure functions of all variables."""

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        self.means = [jax.numpy.array(weight.value) for weight in network.trainable_variables]
        super().__init__(network, config)
        self.others = list(network.non_trainable_variables)
        self._step = jax.jit(self._learn, donate_argnums=(0, 1, 2, 3))
        self._scores = jax.jit(self._score)

    def _cost(self, weights: Any, others: Any, batch: Any) -> Any:
        held = zip([*self.weights, *self.others], [*weights, *others], strict=True)
        with keras.StatelessScope(state_mapping=list(held)) as scope:
            cost = self.network.cost(*batch)
        return cost, [scope.get_current_value(v) for v in self.others]

    def _learn(self, weights: Any, others: Any, optimizer: Any, means: Any, batch: Any) -> Any:
        (cost, others), gradients = jax.value_and_grad(self._cost, has_aux=True)(weights, others, batch)
        decay = self.decay(optimizer[0])
        weights, optimizer = self.optimizer.stateless_apply(optimizer, gradients, weights)
        means = [decay * mean + (1.0 - decay) * weight for mean, weight in zip(means, weights, strict=True)]
        return cost, weights, others, optimizer, means

    def _score(self, weights: Any, inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(self.weights, weights, strict=True))):
            return self.score_all(*inputs)

    def step(self, batch: Sequence[Ints | Floats]) -> Any:
        """One compiled call; the variables take its results."""
        variables = [self.weights, self.others, list(self.optimizer.variables)]
        values = [[v.value for v in group] for group in variables]
        cost, *new, self.means = self._step(*values, self.means, tuple(batch))
        for group, results in zip(variables, new, strict=True):
            for variable, value in zip(group, results, strict=True):
                variable._value = value
        return cost

    def scores(self, inputs: Sequence[Ints | Floats]) -> Floats:
        """One compiled call."""
        return np.asarray(self._scores([v.value for v in self.weights], tuple(inputs)))

    def mean_weights(self) -> Arrays:
        """Copies."""
        return [np.asarray(mean) for mean in self.means]

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
        for name, variables in (("network", self.network.state()), ("optimizer", list(self.optimizer.variables))):
            for variable, value in zip(variables, arrays[name], strict=True):
                variable.assign(value)
        self.means = [jax.numpy.array(value) for value in arrays["means"]]
        self.best = arrays["best"]
        self.steps = int(self.optimizer.iterations)
